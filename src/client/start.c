/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "client/start.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/linux.h"
#include "base/title.h"
#include "client/handle.h"
#include "client/spare.h"
#include "client/unmap.h"
#include "wire/strings.h"

/* ---- where the helper programs are ---- */

static char *join_path(const char *directory, const char *relative, const char *name) {
        char *path;

        return asprintf(&path, "%s%s/%s", directory, relative, name) < 0 ? NULL : path;
}

/* The path without symbolic links; the caller frees it. Where there is a /proc, the kernel tells it: realpath(3) takes
 * 3 KiB of stack, and a thread may have 16 in all. */
static char *true_path(const char *path) {
        FSRV_CLEANUP_FD int fd = fsrv__open(path, O_PATH);
        char link[32], *file = fd < 0 ? NULL : malloc(PATH_MAX);

        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = file ? readlink(link, file, PATH_MAX - 1) : -1;
        if (n <= 0) {
                free(file);
                return realpath(path, NULL);
        }
        file[n] = 0;
        return file;
}

/* The path relative to the file that this function is in: the shared library, or a program with the static one. The
 * zygote is such a program, and a helper itself, so the others are in its folder. In the folder of another program,
 * such as one for downloads, any file may have such a name. NULL: it is not there. */
static char *beside_library(const char *name) {
        struct link_map *map;
        Dl_info info;

        if (!dladdr1((void *)fsrv__helper_path, &info, (void **)&map, RTLD_DL_LINKMAP))
                return NULL;
        bool is_program = !map->l_name[0]; /* its dli_fname is argv[0], which may be anything */
        char *file = true_path(is_program ? "/proc/self/exe" : info.dli_fname);
        char *slash = file ? strrchr(file, '/') : NULL;
        if (!slash) {
                free(file);
                return NULL;
        }
        bool is_zygote = is_program && strcmp(slash, "/forkserver-zygote") == 0 && getauxval(AT_SECURE) == 0;
        *slash = 0;
        char *path = join_path(file, is_zygote ? "" : "/" FSRV_HELPERS_RELATIVE, name);
        free(file);
        if (path && access(path, X_OK) == 0)
                return path;
        free(path);
        return NULL;
}

char *fsrv__helper_path(const char *directory, const char *name) {
        if (!directory)
                directory = secure_getenv("FORKSERVER_HELPERS");
        if (directory)
                return join_path(directory, "", name);
        char *path = beside_library(name);
        return path ? path : join_path(FSRV_HELPERS_DIRECTORY, "", name);
}

/*
 * Programs are started by vfork, so that the cost does not grow with the caller. An orphan takes two of them, so that
 * neither wait(-1) nor a SIGCHLD handler sees anything.
 *
 * A program below the caller in the tree of processes has to be as unseen. execve(2) makes the exit signal SIGCHLD, so
 * the program needs a parent that never executes anything. That is the *anchor*, a copy of the caller as by fork(2),
 * without an exit signal. A vfork makes it beside itself (CLONE_PARENT), as then nothing is copied that the kernel
 * writes to a thread's memory (rseq(2), robust futexes). Large memory is left out of the copy. When the anchor has
 * started the program, it gives the rest back: else the caller would find each page shared, and copy it where it writes
 * to it. Then the anchor waits for the program's end.
 */

enum { STACK_SIZE = 64 * 1024, STACKS = 3, LOOK_MS = 50 };

struct start {
        const char *program;
        char **argv;
        char **environment;
        const int *fds;
        int n_fds;
        char *stack;                 /* one of STACK_SIZE for each process */
        pid_t anchor;                /* where there is one; or -errno */
        int report;                  /* the pipe on which the anchor says how the start went */
        int err;                     /* written by the children: they share our memory */
        int (*function)(void *data); /* instead of a program */
        void *data;
};

/* Puts the fds at FSRV_START_FD and above. Each of these numbers may be taken by another of the fds. */
static int place_fds(const struct start *start) {
        int above = FSRV_START_FD + start->n_fds, copies[FSRV_START_FDS_MAX];

        for (int i = 0; i < start->n_fds; i++)
                if ((copies[i] = fcntl(start->fds[i], F_DUPFD, above)) < 0)
                        return -errno;
        int null = fsrv__open_null();
        /* What modules print while they load must not get into the client's output, nor keep its reader waiting. */
        if (null < 0)
                return null;
        if (fsrv__fd_set_cloexec(null, 0) < 0 || dup2(null, STDIN_FILENO) < 0 ||
            (!fsrv__fd_is_open(STDERR_FILENO) && dup2(null, STDERR_FILENO) < 0) ||
            dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
                return -errno;
        for (int i = 0; i < start->n_fds; i++)
                if (dup2(copies[i], FSRV_START_FD + i) < 0)
                        return -errno;
        fsrv__close_range((unsigned)above, UINT_MAX);
        return 0;
}

/* The memory is the caller's, so nothing here allocates, locks or leaves a trace but start->err. */
__attribute__((no_sanitize("address"))) static int run_program(void *data) {
        struct start *start = data;
        int r = place_fds(start);

        if (r == 0) {
                setpgid(0, 0); /* ^C and ^Z are for the client and its workers */
                execve(start->program, start->argv, start->environment);
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

/* Nothing of the caller may stay in use or show: its files are closed, and its directory is left. */
static void become_anchor(int report, char title[FSRV_TITLE_SIZE]) {
        setpgid(0, 0);
        (void)!chdir("/");
        fsrv__title_move(title);
        fsrv__title_set("forkserver: anchor", NULL);
        prctl(PR_SET_NAME, "fsrv anchor");
        if (report > 0)
                fsrv__close_range(0, (unsigned)report - 1);
        fsrv__close_range((unsigned)report + 1, UINT_MAX);
}

__attribute__((no_sanitize("address"))) static int run_anchor(void *data) {
        struct start *start = data; /* a copy */
        char title[FSRV_TITLE_SIZE];
        int report = start->report;
        pid_t server = clone(run_program, start->stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD, start);
        int err = server < 0 ? errno : start->err;

        become_anchor(report, title);
        fsrv__unmap_and_wait(start->stack, (size_t)STACK_SIZE * STACKS, report, err);
}

__attribute__((no_sanitize("address"))) static int make_anchor(void *data) {
        struct start *start = data;

        start->anchor = clone(run_anchor, start->stack + (size_t)STACK_SIZE * 2, CLONE_PARENT, start);
        if (start->anchor < 0)
                start->anchor = -errno;
        _exit(0);
}

static void reap_unseen(pid_t pid) {
        while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
                ;
}

/* Exit signal 0: no SIGCHLD, and only __WCLONE sees it. */
static pid_t clone_first(struct start *start, int (*run)(void *data)) {
        pid_t pid = clone(run, start->stack + (size_t)STACK_SIZE * STACKS, CLONE_VM | CLONE_VFORK, start);

        if (pid < 0)
                return -errno;
        if (run != run_program || start->err)
                reap_unseen(pid);
        return start->err ? -start->err : pid;
}

static pid_t start_program(struct start *start, int (*run)(void *data)) {
        sigset_t all, before;
        int cancel;

        start->stack = mmap(NULL, (size_t)STACK_SIZE * STACKS, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (start->stack == MAP_FAILED)
                return -errno;
        /* A signal handler of the caller's must not run in a child that shares its memory. All signals stay blocked
         * over the exec; the program sets its own mask. */
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pid_t pid = clone_first(start, run);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_setcancelstate(cancel, NULL);
        munmap(start->stack, (size_t)STACK_SIZE * STACKS);
        return pid;
}

static int run_function(void *data) {
        const struct start *start = data;

        return start->function(start->data);
}

int fsrv__start_function(int (*function)(void *data), void *data) {
        struct start start = { .function = function, .data = data };
        pid_t pid = start_program(&start, run_function);

        return pid < 0 ? pid : 0;
}

int fsrv__start_orphan(const char *program, char **argv, const int *fds, int n_fds) {
        struct start start = { .program = program, .argv = argv, .environment = environ, .fds = fds, .n_fds = n_fds };
        pid_t pid = start_program(&start, run_middle);

        return pid < 0 ? pid : 0;
}

pid_t fsrv__start_child(const char *program, char **argv, const int *fds, int n_fds) {
        struct start start = { .program = program, .argv = argv, .environment = environ, .fds = fds, .n_fds = n_fds };

        return start_program(&start, run_program);
}

/* What the anchor says of the program's start. Its pipe does not end when it is killed, as we have that end too. */
static int hear_of_start(int report, pid_t anchor) {
        struct pollfd entry = { .fd = report, .events = POLLIN };
        bool has_ended = false;
        int err = 0;

        while (poll(&entry, 1, has_ended ? 0 : LOOK_MS) != 1) {
                if (has_ended)
                        return -ECHILD;
                has_ended = waitpid(anchor, NULL, WNOHANG | __WCLONE) != 0;
        }
        return read(report, &err, sizeof err) == sizeof err ? -err : -ECHILD;
}

/* A copy in memory of its own, as the environment may lie in memory that is left out. NULL: no memory. */
static char **copy_environment(size_t *ret_size) {
        size_t n, bytes = fsrv__strings_size((const char *const *)environ, &n);
        size_t size = (n + 1) * sizeof *environ + bytes;
        char **copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (copy == MAP_FAILED)
                return NULL;
        const char *at = (char *)(copy + n + 1);
        fsrv__strings_put((char *)at, (const char *const *)environ);
        fsrv__strings_get(&at, at + bytes, n, copy);
        *ret_size = size;
        return copy;
}

/* The copy keeps only what it needs to start the program: stack, thread, the C library's variables and ours. The kernel
 * may have these in one mapping with large memory. */
static pid_t start_by_anchor(struct start *start) {
        static const void *ours;
        static struct fsrv__spared spared; /* the lock's */
        const void *needed[] = { start, (void *)pthread_self(), &environ, &ours, start->program, start->argv };
        size_t size;

        fsrv__anchors_lock();
        fsrv__spare(&spared, needed, sizeof needed / sizeof *needed);
        char **environment = copy_environment(&size);
        pid_t pid = -ENOMEM;
        if (environment) {
                start->environment = environment;
                pid = start_program(start, make_anchor);
                munmap(environment, size);
        }
        fsrv__spare_no_more(&spared);
        fsrv__anchors_unlock();
        return pid;
}

pid_t fsrv__start_in_tree(const char *program, char **argv, const int *fds, int n_fds, const int report[2]) {
        struct start start = { .program = program, .argv = argv, .fds = fds, .n_fds = n_fds, .report = report[1] };
        pid_t pid = start_by_anchor(&start);

        /* The caller is too large for a copy, or there are too many processes for one more. */
        if (pid < 0 || start.anchor <= 0)
                return fsrv__start_orphan(program, argv, fds, n_fds);
        int r = hear_of_start(report[0], start.anchor);
        if (r < 0)
                reap_unseen(start.anchor);
        return r < 0 ? r : start.anchor;
}
