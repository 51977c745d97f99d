/* SPDX-License-Identifier: MIT */
/* The library in 40 lines: cc hello.c $(pkg-config --cflags --libs libforkserver) && ./a.out */
#include <forkserver.h>
#include <stdio.h>
#include <unistd.h>

static int complain(const struct fsrv_error *error) {
        fprintf(stderr, "hello: %s (stage %s)\n", error->text, fsrv_stage_name(error->stage));
        return 1;
}

int main(void) {
        const char *argv[] = { "sh", "-c", "echo hello from process $$; exit 7", NULL };
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_server *server;
        struct fsrv_request *request;
        struct fsrv_process *process;
        struct fsrv_error error;
        char line[100];
        int fds[3];

        /* A server of our own; it starts with the first spawn. NULL: nothing to preload. */
        if (fsrv_server_new(NULL, &server, &error) < 0)
                return complain(&error);
        if (fsrv_request_new(&request) < 0 || fsrv_request_set_program(request, "sh") < 0 ||
            fsrv_request_set_argv(request, argv) < 0)
                return 1;
        if (fsrv_spawn_pipes(server, request, FSRV_PIPE_STDOUT, fds, &process, &error) < 0)
                return complain(&error);
        ssize_t n = read(fds[1], line, sizeof line);
        printf("process %d said: %.*s", (int)fsrv_process_get_pid(process), n > 0 ? (int)n : 0, line);
        if (fsrv_process_wait(process, 10000, &status, &error) < 0)
                return complain(&error);
        printf("it exited with %d after %ld us of CPU time\n", status.exit_code,
               (long)(status.rusage.ru_utime.tv_usec + status.rusage.ru_stime.tv_usec));
        close(fds[1]);
        fsrv_process_unref(process);
        fsrv_request_free(request);
        fsrv_server_free(server);
        return 0;
}
