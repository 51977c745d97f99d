/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "base/title.h"
#include "client/server.h"
#include "wire/channel.h"

/* ---- where the helper programs are ---- */

static int join(char ret_path[4096], const char *directory, const char *relative, const char *name) {
        return snprintf(ret_path, 4096, "%s%s/%s", directory, relative, name) < 4096 ? 0 : -ENAMETOOLONG;
}

/* Relative to the file that this function is in: the shared library, or a program with the static one. */
static int beside_library(const char *name, char ret_path[4096]) {
        char library[PATH_MAX];
        Dl_info info;

        if (!dladdr((void *)fsrv_helper_path, &info) || !info.dli_fname || !realpath(info.dli_fname, library))
                return -ENOENT;
        *strrchr(library, '/') = 0;
        int r = join(ret_path, library, "/" FSRV_HELPERS_RELATIVE, name);
        return r < 0 || access(ret_path, X_OK) == 0 ? r : -ENOENT;
}

int fsrv_helper_path(const char *directory, const char *name, char ret_path[4096]) {
        if (!directory)
                directory = secure_getenv("FORKSERVER_HELPERS");
        if (directory)
                return join(ret_path, directory, "", name);
        if (beside_library(name, ret_path) == 0)
                return 0;
        return join(ret_path, FSRV_HELPERS_DIRECTORY, "", name);
}

/* ---- the start: a grandchild by way of two vforks, so that neither wait(-1) nor a SIGCHLD handler sees anything, and
 * the cost doesn't grow with the caller ---- */

enum { STACK_SIZE = 64 * 1024, ADMIN_FD = 3, DOORBELL_FD = 4, FIRST_FREE_FD = 5 };

struct start {
        const char *program;
        char **argv;
        int admin, doorbell; /* the server's ends */
        char *stack;         /* two of STACK_SIZE */
        int err;             /* written by the children: they share our memory */
        pid_t middle;
};

/* Both numbers may be taken by the other. */
static int place_fds(const struct start *start) {
        int admin = fcntl(start->admin, F_DUPFD, FIRST_FREE_FD), doorbell = fcntl(start->doorbell, F_DUPFD, FIRST_FREE_FD);
        int null = open("/dev/null", O_RDWR);

        if (admin < 0 || doorbell < 0 || null < 0)
                return -errno;
        /* What modules print while they load must not get into the client's output, nor keep its reader waiting. */
        if (dup2(null, STDIN_FILENO) < 0 || (!fsrv_fd_is_open(STDERR_FILENO) && dup2(null, STDERR_FILENO) < 0) ||
            dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || dup2(admin, ADMIN_FD) < 0 || dup2(doorbell, DOORBELL_FD) < 0)
                return -errno;
        fsrv_close_range(FIRST_FREE_FD, UINT_MAX);
        return 0;
}

/* Memory is the caller's: nothing here allocates, locks or leaves a trace but start->err. */
__attribute__((no_sanitize("address"))) static int run_server(void *data) {
        struct start *start = data;
        int r = place_fds(start);

        if (r == 0) {
                setpgid(0, 0); /* ^C and ^Z are for the client and its workers */
                execve(start->program, start->argv, environ);
                r = -errno;
        }
        start->err = -r;
        _exit(127);
}

__attribute__((no_sanitize("address"))) static int run_middle(void *data) {
        struct start *start = data;

        if (clone(run_server, start->stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD, start) < 0)
                start->err = errno;
        _exit(0);
}

static int start_program(struct start *start) {
        sigset_t all, before;
        int cancel, r = 0;

        start->stack = mmap(NULL, (size_t)STACK_SIZE * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (start->stack == MAP_FAILED)
                return -errno;
        /* A handler of the caller's must not run in a child that shares its memory. They stay blocked over the exec; the
         * server sets its own mask. */
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        /* Exit signal 0: no SIGCHLD, and only __WCLONE sees it. */
        start->middle = clone(run_middle, start->stack + (size_t)STACK_SIZE * 2, CLONE_VM | CLONE_VFORK, start);
        if (start->middle < 0)
                r = -errno;
        else
                while (waitpid(start->middle, NULL, __WCLONE) < 0 && errno == EINTR)
                        ;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_setcancelstate(cancel, NULL);
        munmap(start->stack, (size_t)STACK_SIZE * 2);
        return r < 0 ? r : -start->err;
}

static int send_config(const struct fsrv_server *s, int admin, struct fsrv_error *error) {
        struct fsrv_config config = s->config;
        char *bytes = malloc(FSRV_WIRE_MESSAGE_MAX);
        int n = bytes ? fsrv_config_encode(&config, bytes) : -ENOMEM;

        if (n > 0)
                n = fsrv_channel_send(admin, bytes, (size_t)n, NULL, 0, MSG_DONTWAIT);
        free(bytes);
        return n < 0 ? fsrv_fail(error, FSRV_STAGE_START, -n, "the server's configuration") : 0;
}

/* A failing loader, another version in its place: all that shows after execve succeeded. */
static int wait_until_ready(int admin, const char *program, struct fsrv_error *error) {
        struct fsrv_wire_reply reply;
        struct fsrv_message message;
        int r = fsrv_channel_receive_by(admin, &reply, sizeof reply, fsrv_deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS), &message);

        if (r == 0)
                return fsrv_fail_text(error, FSRV_STAGE_START, ECONNRESET, "the server program '%s' ended at once", program);
        if (r < 0)
                return fsrv_fail(error, FSRV_STAGE_START, -r, "the server program '%s' did not answer", program);
        fsrv_message_close(&message);
        if (message.size != sizeof reply || reply.version != FSRV_WIRE_VERSION)
                return fsrv_fail_text(error, FSRV_STAGE_VERSION, EPROTONOSUPPORT,
                                      "the server program '%s' is of another version than the library", program);
        if (reply.err)
                return fsrv_fail_text(error, reply.stage, reply.err, "%.*s", (int)sizeof reply.text - 1, reply.text);
        return 0;
}

int fsrv_launch(const struct fsrv_server *s, int *ret_doorbell, int *ret_admin, struct fsrv_error *error) {
        char program[4096], title[FSRV_TITLE_SIZE], *argv[] = { title, NULL };
        int doorbell[2] = { -1, -1 }, admin[2] = { -1, -1 }, on = 1, r;

        if (fsrv_helper_path(s->helper_directory, "forkserver-server", program) < 0)
                return fsrv_fail(error, FSRV_STAGE_START, ENAMETOOLONG, "the path of the server program");
        fsrv_title_argument(title, "forkserver: server");
        if ((r = fsrv_socketpair(doorbell)) < 0 || (r = fsrv_socketpair(admin)) < 0)
                r = fsrv_fail(error, FSRV_STAGE_START, -r, "a socket pair");
        else if (setsockopt(doorbell[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
                r = fsrv_fail(error, FSRV_STAGE_START, errno, "SO_PASSCRED");
        if (r == 0)
                r = send_config(s, admin[1], error);
        if (r == 0) {
                struct start start = { .program = program, .argv = argv, .admin = admin[0], .doorbell = doorbell[0] };
                r = start_program(&start);
                if (r < 0)
                        r = fsrv_fail(error, FSRV_STAGE_START, -r, "starting the server program '%s'", program);
        }
        doorbell[0] = fsrv_fd_close(doorbell[0]);
        admin[0] = fsrv_fd_close(admin[0]);
        if (r == 0)
                r = wait_until_ready(admin[1], program, error);
        if (r < 0) {
                fsrv_fd_close(doorbell[1]);
                fsrv_fd_close(admin[1]);
                return r;
        }
        *ret_doorbell = doorbell[1];
        *ret_admin = admin[1];
        return 0;
}
