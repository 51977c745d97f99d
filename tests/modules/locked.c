/* SPDX-License-Identifier: MIT */
/* What a process in a sandbox does and sees. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "forkserver.h"

/* sockets N: asks for N sockets, and returns how many it gets not. */
int sockets(int argc, char **argv) {
        int refused = 0;

        for (int i = 0; argc > 1 && i < atoi(argv[1]); i++) {
                int fd = socket(AF_INET, SOCK_STREAM, 0);
                refused += fd < 0 && errno == EPERM;
                if (fd >= 0)
                        close(fd);
        }
        return refused;
}

static void *ask_for_socket(void *data) {
        (void)data;
        return socket(AF_INET, SOCK_STREAM, 0) < 0 ? "" : NULL;
}

/* The same by a thread, and by a child of a child. */
int others_sockets(int argc, char **argv) {
        pthread_t thread;
        void *refused = NULL;
        int status;

        (void)argc;
        (void)argv;
        if (pthread_create(&thread, NULL, ask_for_socket, NULL) == 0)
                pthread_join(thread, &refused);
        pid_t child = fork();
        if (child == 0) {
                child = fork();
                if (child == 0)
                        _exit(ask_for_socket(NULL) != NULL);
                waitpid(child, &status, 0);
                _exit(WEXITSTATUS(status));
        }
        waitpid(child, &status, 0);
        return (refused != NULL) + WEXITSTATUS(status);
}

/* Prints "lifeline ERRNO, spawn ERRNO: TEXT". */
int ways_out(int argc, char **argv) {
        struct fsrv_error error = { 0 };
        struct fsrv_server *server;
        int lifeline = fsrv_worker_get_lifeline(), r = fsrv_server_inherit(&server, &error);

        (void)argc;
        (void)argv;
        printf("lifeline %d, spawn %d: %s", lifeline < 0 ? -lifeline : 0, -r, error.text);
        return 0;
}

/* spawn_again MODULE [PROFILE]: spawns `sockets 1` of the module, in a sandbox if a profile is given; its exit code, or
 * 100 and a sentence. */
int spawn_again(int argc, char **argv) {
        struct fsrv_error error = { 0 };
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_request *request;
        struct fsrv_sandbox *sandbox = NULL;
        struct fsrv_server *server;
        char entry[4096];

        snprintf(entry, sizeof entry, "%s:sockets", argc > 1 ? argv[1] : "");
        const char *const words[] = { entry, "1", NULL };
        if (fsrv_server_inherit(&server, &error) < 0 || fsrv_request_new(&request) < 0)
                return 99;
        fsrv_request_set_entry(request, entry);
        fsrv_request_set_argv(request, words);
        if (argc > 2 &&
            (fsrv_sandbox_new(argv[2], &sandbox, &error) < 0 || fsrv_sandbox_seal(sandbox, NULL, NULL, &error) < 0 ||
             fsrv_request_set_sandbox(request, sandbox) < 0))
                return 98;
        int r = fsrv_run(server, request, &status, &error);
        if (r < 0)
                fputs(error.text, stdout);
        fsrv_sandbox_unref(sandbox);
        fsrv_request_free(request);
        fsrv_server_free(server);
        return r < 0 ? 100 : status.exit_code;
}

/* lock_later PROFILE: locks itself in as an unsealed copy of code would. Prints what it can do before and after. */
int lock_later(int argc, char **argv) {
        struct fsrv_error error = { 0 };
        struct fsrv_sandbox *sandbox;
        int before = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

        if (argc < 2 || fsrv_sandbox_new(argv[1], &sandbox, &error) < 0 ||
            fsrv_sandbox_seal(sandbox, NULL, NULL, &error) < 0 || fsrv_worker_lock(sandbox, &error) < 0) {
                puts(error.text);
                return 1;
        }
        int after = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
        printf("before %d, after %s", before >= 0, after < 0 ? strerror(errno) : "open");
        return 0;
}
