/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "client/start.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/linux.h"

/* ---- where the helper programs are ---- */

static int join(char ret_path[4096], const char *directory, const char *relative, const char *name) {
        return snprintf(ret_path, 4096, "%s%s/%s", directory, relative, name) < 4096 ? 0 : -ENAMETOOLONG;
}

/* Relative to the file that this function is in: the shared library, or a program with the static one. The zygote is
 * one of those, and a helper itself: the others are in its folder. In another program's folder, a download's say,
 * anybody's file may have such a name. */
static int beside_library(const char *name, char ret_path[4096]) {
        char file[PATH_MAX];
        struct link_map *map;
        Dl_info info;

        if (!dladdr1((void *)fsrv_helper_path, &info, (void **)&map, RTLD_DL_LINKMAP))
                return -ENOENT;
        bool is_program = !map->l_name[0]; /* its dli_fname is argv[0], which may be anything */
        if (!realpath(is_program ? "/proc/self/exe" : info.dli_fname, file))
                return -ENOENT;
        char *slash = strrchr(file, '/');
        bool is_zygote = is_program && strcmp(slash, "/forkserver-zygote") == 0 && getauxval(AT_SECURE) == 0;
        *slash = 0;
        int r = join(ret_path, file, is_zygote ? "" : "/" FSRV_HELPERS_RELATIVE, name);
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

/* ---- the start: by vforks, so that the cost doesn't grow with the caller; an orphan by two of them, so that neither
 * wait(-1) nor a SIGCHLD handler sees anything ---- */

enum { STACK_SIZE = 64 * 1024 };

struct start {
        const char *program;
        char **argv;
        const int *fds;
        int n_fds;
        bool orphan;
        char *stack; /* two of STACK_SIZE */
        int err;     /* written by the children: they share our memory */
};

/* At FSRV_START_FD and above. Each of these numbers may be taken by another of them. */
static int place_fds(const struct start *start) {
        int above = FSRV_START_FD + start->n_fds, copies[FSRV_START_FDS_MAX];

        for (int i = 0; i < start->n_fds; i++)
                if ((copies[i] = fcntl(start->fds[i], F_DUPFD, above)) < 0)
                        return -errno;
        int null = open("/dev/null", O_RDWR);
        /* What modules print while they load must not get into the client's output, nor keep its reader waiting. */
        if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
            (!fsrv_fd_is_open(STDERR_FILENO) && dup2(null, STDERR_FILENO) < 0) ||
            dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
                return -errno;
        for (int i = 0; i < start->n_fds; i++)
                if (dup2(copies[i], FSRV_START_FD + i) < 0)
                        return -errno;
        fsrv_close_range((unsigned)above, UINT_MAX);
        return 0;
}

/* Memory is the caller's: nothing here allocates, locks or leaves a trace but start->err. */
__attribute__((no_sanitize("address"))) static int run_program(void *data) {
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

        if (clone(run_program, start->stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD, start) < 0)
                start->err = errno;
        _exit(0);
}

/* Exit signal 0: no SIGCHLD, and only __WCLONE sees it. */
static pid_t clone_first(struct start *start) {
        pid_t pid = clone(start->orphan ? run_middle : run_program, start->stack + (size_t)STACK_SIZE * 2,
                          CLONE_VM | CLONE_VFORK, start);

        if (pid < 0)
                return -errno;
        if (start->orphan || start->err)
                while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
                        ;
        return start->err ? -start->err : pid;
}

static pid_t start_program(struct start *start) {
        sigset_t all, before;
        int cancel;

        start->stack = mmap(NULL, (size_t)STACK_SIZE * 2, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (start->stack == MAP_FAILED)
                return -errno;
        /* A handler of the caller's must not run in a child that shares its memory. They stay blocked over the exec;
         * the program sets its own mask. */
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pid_t pid = clone_first(start);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_setcancelstate(cancel, NULL);
        munmap(start->stack, (size_t)STACK_SIZE * 2);
        return pid;
}

int fsrv_start_orphan(const char *program, char **argv, const int *fds, int n_fds) {
        struct start start = { .program = program, .argv = argv, .fds = fds, .n_fds = n_fds, .orphan = true };
        pid_t pid = start_program(&start);

        return pid < 0 ? pid : 0;
}

pid_t fsrv_start_child(const char *program, char **argv, const int *fds, int n_fds) {
        struct start start = { .program = program, .argv = argv, .fds = fds, .n_fds = n_fds };

        return start_program(&start);
}
