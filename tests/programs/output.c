/* SPDX-License-Identifier: MIT */
/* output ENTRY MODULE…: spawns the entry point, its streams being /dev/null, from a server whose modules' output is
 * ours; prints the worker's pid, the server's and the zygote's, and is gone. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "forkserver.h"

static struct fsrv_error error;

static void check(int r) {
        if (r < 0) {
                fprintf(stderr, "output: %s\n", error.text);
                exit(1);
        }
}

int main(int argc, char **argv) {
        struct fsrv_server_options options = { .size = sizeof options, .flags = FSRV_SERVER_PRELOAD_OUTPUT };
        struct fsrv_stats stats = { .size = sizeof stats };
        struct fsrv_server *server;
        struct fsrv_request *request;
        struct fsrv_process *process;

        if (argc < 3)
                return 2;
        options.preload = (const char *const *)argv + 2;
        check(fsrv_server_new(&options, &server, &error));
        check(fsrv_request_new(&request));
        check(fsrv_request_set_entry(request, argv[1]));
        for (int fd = 0; fd < 3; fd++)
                check(fsrv_request_add_open(request, fd, "/dev/null", 2, 0));
        check(fsrv_spawn(server, request, &process, &error));
        check(fsrv_server_get_stats(server, &stats, &error));
        printf("%d %d %d\n", (int)fsrv_process_get_pid(process), (int)stats.server_pid, (int)stats.zygote_pid);
        fflush(stdout);
        _exit(0);
}
