/* SPDX-License-Identifier: MIT */
/* Entry points that use the resource tracker of their family, by the default handle. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <forkserver.h>

static int complain(int r, const struct fsrv_error *error) {
        fprintf(stderr, "tracking: %d, stage %s: %s\n", r, fsrv_stage_name(error->stage), error->text);
        return 90;
}

/* The file behind the tracker's fd: one tracker, one number. */
static int print_tracker(void) {
        struct fsrv_error error = { 0 };
        struct stat info;
        int fd = fsrv_tracker_get_fd(NULL, &error);

        if (fd < 0)
                return complain(fd, &error);
        if (fstat(fd, &info) < 0)
                return 91;
        printf("%llu\n", (unsigned long long)info.st_ino);
        return fflush(stdout) == 0 ? 0 : 92;
}

/* hold TYPE NAME: registers it, prints the tracker, and stays */
int hold(int argc, char **argv) {
        struct fsrv_error error = { 0 };
        int r = argc == 3 ? fsrv_tracker_register(NULL, argv[1], argv[2], &error) : -1;

        if (r < 0)
                return complain(r, &error);
        r = print_tracker();
        if (r == 0)
                pause();
        return r;
}

/* release TYPE NAME: unregisters what somebody else registered */
int release(int argc, char **argv) {
        struct fsrv_error error = { 0 };
        int r = argc == 3 ? fsrv_tracker_unregister(NULL, argv[1], argv[2], &error) : -1;

        return r < 0 ? complain(r, &error) : 0;
}

static int run_self(const char *entry, int depth) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error = { 0 };
        struct fsrv_server *server;
        struct fsrv_request *request;
        struct fsrv_process *process;
        char word[16];
        int r = fsrv_server_default(&server, &error);

        snprintf(word, sizeof word, "%d", depth);
        if (r < 0)
                return complain(r, &error);
        if (fsrv_request_new(&request) < 0 || fsrv_request_set_entry(request, entry) < 0 ||
            fsrv_request_set_argv(request, (const char *const[]){ entry, word, NULL }) < 0)
                return 93;
        r = fsrv_spawn(server, request, &process, &error);
        fsrv_request_free(request);
        if (r < 0)
                return complain(r, &error);
        r = fsrv_process_wait(process, 60000, &status, &error);
        fsrv_process_unref(process);
        return r < 0 ? complain(r, &error) : status.exit_code;
}

/* nest DEPTH: prints the tracker; so do the workers below */
int nest(int argc, char **argv) {
        int depth = argc > 1 ? atoi(argv[1]) : 0, r = print_tracker();

        return r != 0 || depth == 0 ? r : run_self(argv[0], depth - 1);
}
