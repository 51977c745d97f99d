/* SPDX-License-Identifier: MIT */
/* The entry points, and what all attempts share. */
#define _GNU_SOURCE
#include "escapes.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <forkserver.h>

static const struct attempt *const all[] = { file_attempts,      write_attempts,  set_id_attempts,
                                             process_attempts,   exec_attempts,   network_attempts,
                                             namespace_attempts, kernel_attempts, privilege_attempts,
                                             ipc_attempts,       call_attempts,   machinery_attempts };
static const char *reason = "";

int not_here(const char *why) {
        reason = why;
        return NOT_HERE;
}

int from(long result) {
        return result < 0 ? -errno : (int)result;
}

int let_through(long result) {
        if (result >= 0)
                return 0;
        return errno == EPERM || errno == EACCES || errno == ENOSYS ? -errno : 0;
}

const char *setting(const char *name) {
        const char *value = getenv(name);

        return value && *value ? value : NULL;
}

pid_t target(void) {
        const char *value = setting("ESCAPE_TARGET");

        return value ? (pid_t)atoi(value) : getppid();
}

const char *path_in(const char *name, const char *file) {
        static char path[4096];
        const char *directory = setting(name);

        if (!directory)
                return NULL;
        snprintf(path, sizeof path, "%s/%s", directory, file);
        return path;
}

int fd_of(const char *name) {
        const char *value = setting(name);

        return value ? atoi(value) : -1;
}

int in_child(int (*run)(void)) {
        int ends[2], r = 0;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        pid_t pid = fork();
        if (pid < 0)
                return run();
        if (pid == 0) {
                close(ends[0]);
                r = run();
                (void)!write(ends[1], &r, sizeof r);
                _exit(0);
        }
        close(ends[1]);
        ssize_t n = read(ends[0], &r, sizeof r); /* nothing: the end was closed by an exec, or by death */
        close(ends[0]);
        int status = 0;
        kill(pid, SIGKILL); /* one that runs another program; closed by what locks us in, it ends by itself */
        waitpid(pid, &status, 0);
        if (n != sizeof r)
                return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? -EPERM : 0;
        return r;
}

struct call {
        int (*run)(void);
        int result;
};

static void *run_call(void *data) {
        struct call *call = data;

        call->result = call->run();
        return NULL;
}

int in_thread(int (*run)(void)) {
        struct call call = { .run = run, .result = 0 };
        pthread_t thread;
        int r = pthread_create(&thread, NULL, run_call, &call);

        if (r != 0)
                return -r;
        pthread_join(thread, NULL);
        return call.result;
}

static void tell(const char *name, int result) {
        const char *error = result < 0 && result != NOT_HERE ? strerrorname_np(-result) : NULL;

        if (result == NOT_HERE)
                printf("%s n/a %s\n", name, reason);
        else
                printf("%s %s %s\n", name, result < 0 ? "refused" : "worked", error ? error : "0");
        fflush(stdout);
}

static const struct attempt *find(const char *name) {
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
                for (const struct attempt *attempt = all[i]; attempt->name; attempt++)
                        if (strcmp(attempt->name, name) == 0)
                                return attempt;
        return NULL;
}

/* escape NAME…: one line for each, "NAME worked|refused|n/a ERRNO" */
int escape(int argc, char **argv) {
        for (int i = 1; i < argc; i++) {
                const struct attempt *attempt = find(argv[i]);
                if (!attempt)
                        return 2;
                tell(attempt->name, attempt->run());
        }
        return 0;
}

static int add_directory(struct fsrv_sandbox *sandbox, const char *name, uint32_t access) {
        return setting(name) ? fsrv_sandbox_add_path(sandbox, setting(name), access) : 0;
}

/* escape_locked PROFILE NAME…: the same, of code that locks itself in before it does anything */
int escape_locked(int argc, char **argv) {
        struct fsrv_sandbox *sandbox = NULL;
        struct fsrv_error error = { 0 };
        int r = argc > 1 ? fsrv_sandbox_new(argv[1], &sandbox, &error) : -EINVAL;

        if (r == 0 && strcmp(argv[1], "pure-compute") != 0) {
                r = add_directory(sandbox, "ESCAPE_READABLE", FSRV_PATH_READ);
                if (r == 0)
                        r = add_directory(sandbox, "ESCAPE_WRITABLE",
                                          FSRV_PATH_READ | FSRV_PATH_WRITE | FSRV_PATH_MAKE);
        }
        if (r == 0)
                r = fsrv_sandbox_seal(sandbox, NULL, NULL, &error);
        if (r == 0)
                r = fsrv_worker_lock(sandbox, &error);
        fsrv_sandbox_unref(sandbox);
        if (r < 0) {
                printf("locking in: %d %s\n", r, error.text);
                return 1;
        }
        return escape(argc - 1, argv + 1);
}

/* The names of all attempts. */
int list(int argc, char **argv) {
        (void)argc;
        (void)argv;
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
                for (const struct attempt *attempt = all[i]; attempt->name; attempt++)
                        puts(attempt->name);
        return 0;
}

/* A process to attack: it waits to be killed. */
int victim(int argc, char **argv) {
        (void)argc;
        (void)argv;
        for (;;)
                pause();
}
