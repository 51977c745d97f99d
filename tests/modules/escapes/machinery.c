/* SPDX-License-Identifier: MIT */
/* What of Forkserver itself a worker could use. */
#define _GNU_SOURCE
#include "escapes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <forkserver.h>

static int is_handed(int fd) {
        const char *list = setting("ESCAPE_FDS");

        if (fd <= STDERR_FILENO)
                return 1;
        while (list && *list) {
                char *end;
                if (strtol(list, &end, 10) == fd)
                        return 1;
                list = *end ? end + 1 : end;
        }
        return 0;
}

/* The next fd from this one on that nobody handed over; -1. */
static int next_foreign(int fd) {
        for (; fd < 1024; fd++)
                if (fcntl(fd, F_GETFD) >= 0 && !is_handed(fd))
                        return fd;
        return -1;
}

static int hold_foreign_fds(void) {
        return next_foreign(0) < 0 ? -EPERM : 0;
}

static int hold_foreign_sockets(void) {
        for (int fd = next_foreign(0); fd >= 0; fd = next_foreign(fd + 1)) {
                int type;
                socklen_t size = sizeof type;
                if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0)
                        return 0;
        }
        return -EPERM;
}

/* As the claim of another request would be sent. */
static int send_on_foreign_sockets(void) {
        for (int fd = next_foreign(0); fd >= 0; fd = next_foreign(fd + 1))
                if (send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
                        return 0;
        return -EPERM;
}

/* A pipe's other end: the lifeline, by which a client says that it lives. */
static int write_to_foreign_pipes(void) {
        for (int fd = next_foreign(0); fd >= 0; fd = next_foreign(fd + 1)) {
                struct stat file;
                char path[64];
                int again;
                if (fstat(fd, &file) < 0 || !S_ISFIFO(file.st_mode))
                        continue;
                if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
                        return 0;
                snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
                again = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
                if (again >= 0) {
                        close(again);
                        return 0;
                }
        }
        return -EPERM;
}

/* Standard output is for writing. Where it is a pipe that siblings share, its other end would have what they write. */
static int read_standard_output(void) {
        struct stat file;
        int fd;

        if (fstat(STDOUT_FILENO, &file) < 0 || !S_ISFIFO(file.st_mode))
                return not_here("standard output is no pipe");
        fd = open("/proc/self/fd/1", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        close(fd);
        return 0;
}

static int run_outside(struct fsrv_server *server) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_request *request = NULL;
        struct fsrv_error error = { 0 };
        static const char *const argv[] = { "true", NULL };
        int r = fsrv_request_new(&request);

        if (r == 0)
                r = fsrv_request_set_program(request, "/bin/true");
        if (r == 0)
                r = fsrv_request_set_argv(request, argv);
        if (r == 0)
                r = fsrv_run(server, request, &status, &error);
        fsrv_request_free(request);
        return r < 0 ? r : status.exit_code == 0 && status.signal == 0 ? 0 : -EPERM;
}

/* A program that runs outside can do all that the server's user can. */
static int spawn_by_doorbell(void) {
        struct fsrv_server *server;
        struct fsrv_error error = { 0 };
        int r = fsrv_server_inherit(&server, &error);

        if (r == -ENOENT)
                return not_here("a program is no worker");
        if (r < 0)
                return r;
        r = run_outside(server);
        fsrv_server_free(server);
        return r;
}

static int spawn_by_new_server(void) {
        struct fsrv_server_options options = { .size = sizeof options };
        struct fsrv_server *server;
        struct fsrv_error error = { 0 };
        int r = fsrv_server_new(&options, &server, &error);

        if (r < 0)
                return r;
        r = run_outside(server);
        fsrv_server_free(server);
        return r;
}

static int spawn_by_named_server(void) {
        const char *path = setting("ESCAPE_SERVER");
        struct fsrv_server *server;
        struct fsrv_error error = { 0 };
        int r;

        if (!path)
                return not_here("there is no named server");
        r = fsrv_server_connect(path, FSRV_UID_OWN, &server, &error);
        if (r < 0)
                return r;
        r = run_outside(server);
        fsrv_server_free(server);
        return r;
}

static int clone_for_parent(void) {
        long pid = syscall(SYS_clone, 0x8000 /* CLONE_PARENT */, NULL, NULL, NULL, NULL);

        if (pid == 0)
                syscall(SYS_exit, 0);
        return from(pid);
}

const struct attempt machinery_attempts[] = {
        { "hold_foreign_fds", hold_foreign_fds },
        { "hold_foreign_sockets", hold_foreign_sockets },
        { "send_on_foreign_sockets", send_on_foreign_sockets },
        { "write_to_foreign_pipes", write_to_foreign_pipes },
        { "read_standard_output", read_standard_output },
        { "spawn_by_doorbell", spawn_by_doorbell },
        { "spawn_by_new_server", spawn_by_new_server },
        { "spawn_by_named_server", spawn_by_named_server },
        { NULL, NULL },
};

/* A child that becomes the server's: it is not in our family, and the server has not asked for it. */
int leave_stray(int argc, char **argv) {
        (void)argc;
        (void)argv;
        return clone_for_parent() < 0 ? 1 : 0;
}

static int spawn_below(struct fsrv_server *server, struct fsrv_request *request, const char *entry, char **names) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error = { 0 };
        int r = fsrv_request_set_entry(request, entry);

        if (r == 0)
                r = fsrv_request_set_argv(request, (const char *const *)names);
        if (r == 0)
                r = fsrv_run(server, request, &status, &error);
        if (r < 0)
                printf("spawn %s: %s\n", strerrorname_np(-r), error.text);
        return r < 0 ? 1 : status.exit_code;
}

/* nest none|same ENTRY NAME…: spawns the entry point from here, in this sandbox, or as if there were none */
int nest(int argc, char **argv) {
        struct fsrv_sandbox *none = NULL;
        struct fsrv_request *request = NULL;
        struct fsrv_server *server;
        struct fsrv_error error = { 0 };
        int r = argc < 3 ? -EINVAL : fsrv_server_inherit(&server, &error);

        if (r < 0) {
                printf("inherit %s: %s\n", strerrorname_np(-r), error.text);
                return 1;
        }
        r = fsrv_request_new(&request);
        if (r == 0 && strcmp(argv[1], "none") == 0) {
                r = fsrv_sandbox_new("none", &none, &error);
                if (r == 0)
                        r = fsrv_sandbox_seal(none, NULL, NULL, &error);
                if (r == 0)
                        r = fsrv_request_set_sandbox(request, none);
        }
        r = r < 0 ? 1 : spawn_below(server, request, argv[2], argv + 3);
        fsrv_request_free(request);
        fsrv_sandbox_unref(none);
        fsrv_server_free(server);
        return r;
}
