/* SPDX-License-Identifier: MIT */
/* Entry points that use libforkserver in the worker. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <forkserver.h>

static int complain(const char *what, int r, const struct fsrv_error *error) {
        fprintf(stderr, "%s: %d, stage %s: %s\n", what, r, fsrv_stage_name(error->stage), error->text);
        return 90;
}

static int run_child(struct fsrv_server *server, const char *entry, const char *const *argv) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_request *request;
        struct fsrv_process *process;
        struct fsrv_error error = { 0 };
        int r;

        if (fsrv_request_new(&request) < 0 || fsrv_request_set_entry(request, entry) < 0 ||
            fsrv_request_set_argv(request, argv) < 0)
                return 91;
        r = fsrv_spawn(server, request, &process, &error);
        fsrv_request_free(request);
        if (r < 0)
                return complain("spawn", r, &error);
        r = fsrv_process_wait(process, 60000, &status, &error);
        fsrv_process_unref(process);
        if (r < 0)
                return complain("wait", r, &error);
        return status.signal ? 128 + status.signal : status.exit_code;
}

static int spawn_below(const char *entry, int depth) {
        struct fsrv_server *server;
        struct fsrv_error error = { 0 };
        char word[16];
        int r = fsrv_server_inherit(&server, &error);

        if (r < 0)
                return complain("inherit", r, &error);
        snprintf(word, sizeof word, "%d", depth);
        r = run_child(server, entry, (const char *const[]){ entry, word, NULL });
        fsrv_server_free(server);
        return r;
}

/* nest DEPTH: prints its parent, spawns itself from its own server, exits with the number of processes below, plus 1 */
int nest(int argc, char **argv) {
        int left = argc > 1 ? atoi(argv[1]) : 0;

        printf("%d\n", (int)getppid());
        fflush(stdout);
        return left == 0 ? 1 : 1 + spawn_below(argv[0], left - 1);
}

/* fds: what each fd of fsrv_worker_get_fds() yields */
int fds(int argc, char **argv) {
        const int *fds;
        size_t n;

        (void)argc;
        (void)argv;
        if (fsrv_worker_get_fds(&fds, &n) < 0)
                return 92;
        for (size_t i = 0; i < n; i++) {
                char text[256];
                ssize_t k = read(fds[i], text, sizeof text - 1);
                if (k < 0 || !(fcntl(fds[i], F_GETFD) & FD_CLOEXEC))
                        return 93;
                text[k] = 0;
                printf("%s;", text);
        }
        return n > 99 ? 99 : (int)n;
}

int client(int argc, char **argv) {
        pid_t pid = 0;
        uid_t uid = 0;

        (void)argc;
        (void)argv;
        int r = fsrv_worker_get_client(&pid, &uid);
        printf("%d %u\n", (int)pid, (unsigned)uid);
        return r < 0 ? 94 : 0;
}

/* lifeline FILE: says "ready", waits for the end of its client, writes "gone" into FILE */
int lifeline(int argc, char **argv) {
        struct pollfd entry = { .fd = fsrv_worker_get_lifeline(), .events = POLLIN };
        char byte;

        if (argc != 2 || entry.fd < 0 || poll(&entry, 1, 0) != 0)
                return 95;
        int fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        dprintf(fd, "ready\n");
        if (poll(&entry, 1, 60000) != 1 || read(entry.fd, &byte, 1) != 0)
                dprintf(fd, "wrong\n");
        dprintf(fd, "gone\n");
        return 0;
}

/* execute PROGRAM ARG…: what an exec'd program gets of ours */
int execute(int argc, char **argv) {
        (void)argc;
        execv(argv[1], argv + 1);
        return 96;
}

/* wait_then_nest FILE ENTRY: waits until its client is gone, then spawns: the doorbell it holds keeps the server */
int wait_then_nest(int argc, char **argv) {
        if (argc != 3)
                return 97;
        int r = lifeline(2, argv);
        if (r == 0)
                r = spawn_below(argv[2], 1);
        int fd = open(argv[1], O_WRONLY | O_APPEND | O_CLOEXEC);
        dprintf(fd, "nested %d\n", r);
        return r;
}
