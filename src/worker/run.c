/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "base/probe.h"
#include "wire/inherited.h"
#include "wire/messages.h"
#include "worker/attributes.h"
#include "worker/worker.h"

/* Only a process that could tell its client goes on: a client that gave up has shut its end down before it looked
 * (EPIPE here). */
static void send_answer(const struct fsrv__task *task, const void *bytes, size_t size, const int slots[FSRV_SLOTS]) {
        int fds[FSRV_SLOTS];
        size_t n_fds = fsrv__message_pack(FSRV_TABLE_ANSWER, bytes, slots, NULL, fds);

        if (fsrv__channel_send_patiently(task->answer, bytes, size, fds, n_fds,
                                         fsrv__deadline(FSRV_WIRE_SEND_TIMEOUT_MS)) < 0)
                _exit(1);
}

static void send_started(struct fsrv__task *task, int exec_pipe) {
        struct fsrv__wire_started started = { .type = FSRV_WIRE_STARTED, .pid = getpid() };
        int slots[FSRV_SLOTS] = FSRV_NO_FDS;

        FSRV_PROBE(worker_set_up, started.pid, task->client.pid);
        fsrv__setup_watchdog_off();
        slots[FSRV_SLOT_PIDFD] = task->pidfd;
        slots[FSRV_SLOT_EXEC_PIPE] = exec_pipe;
        if (task->pidfd >= 0)
                started.fds |= FSRV_WIRE_HAS_PIDFD;
        if (exec_pipe >= 0)
                started.fds |= FSRV_WIRE_HAS_EXEC_PIPE;
        send_answer(task, &started, sizeof started, slots);
}

/* Without this the client would take an end in a module's constructor for one before anything ran, and try again. */
static void send_loads(const struct fsrv__task *task) {
        const struct fsrv__wire_loads loads = { .type = FSRV_WIRE_LOADS,
                                                .fds = task->pidfd >= 0 ? FSRV_WIRE_HAS_PIDFD : 0 };
        int slots[FSRV_SLOTS] = FSRV_NO_FDS;

        slots[FSRV_SLOT_PIDFD] = task->pidfd;
        send_answer(task, &loads, sizeof loads, slots);
}

_Noreturn void fsrv__task_fail(struct fsrv__task *task, int sock, const struct fsrv_error *error) {
        struct fsrv__wire_failed failed = {
                .type = FSRV_WIRE_FAILED, .pid = getpid(), .stage = error->stage, .err = error->err
        };
        struct fsrv__wire_claim count = { .type = FSRV_WIRE_SETUP_FAILED, .stage = error->stage };

        memcpy(failed.text, error->text, sizeof failed.text);
        fsrv__channel_send(task->claims, &count, sizeof count, NULL, 0, MSG_DONTWAIT);
        if (fsrv__channel_send_patiently(sock, &failed, sizeof failed, NULL, 0,
                                         fsrv__deadline(FSRV_WIRE_SEND_TIMEOUT_MS)) == -ENOTSOCK)
                (void)!write(sock, &failed, sizeof failed); /* the exec pipe; less than PIPE_BUF */
        _exit(127);
}

/* Such a file is for another machine, or torn: a shell would only write nonsense about it. */
static bool is_elf(const char *path) {
        char magic[4] = "";
        FSRV_CLEANUP_FD int fd = fsrv__open(path, O_RDONLY);

        return fd >= 0 && read(fd, magic, sizeof magic) == sizeof magic && memcmp(magic, "\177ELF", sizeof magic) == 0;
}

/* As execvp(3) does: a file in no format that the kernel knows is a script for the shell. execve(2) looks at all the
 * arguments before it fails so, hence there is room for their addresses once more. Returns errno. */
static int exec_file(const char *path, char *const *argv, size_t n_argv, char *const *environment) {
        execve(path, argv, environment);
        int err = errno;
        if (err != ENOEXEC || is_elf(path))
                return err;
        const char **shell = alloca((n_argv + 2) * sizeof *shell); /* no malloc: the memory may be a standby's */
        size_t n = 0;
        shell[n++] = "/bin/sh";
        shell[n++] = path;
        for (size_t i = 1; i < n_argv; i++)
                shell[n++] = argv[i];
        shell[n] = NULL;
        execve(shell[0], (char *const *)shell, environment);
        return errno;
}

/* Permissions would let it run: the sandbox doesn't. To run another one of this name instead would surprise, as the
 * system's python3 for a virtual environment's. */
static bool is_closed_by_sandbox(const struct fsrv__task *task, const char *path) {
        struct stat status;

        return task->standby->lock && access(path, X_OK) == 0 && stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* As execvp(3) does: executes the first file that can be. Returns errno: EACCES if nothing better was found. ret_path
 * is the request's name, or what it stands for. */
static int exec_search(const struct fsrv__task *task, char ret_path[PATH_MAX]) {
        const struct fsrv__request_parts *request = &task->request;
        const char *name = request->name;
        size_t name_size = strlen(name) + 1;
        int found = ENOENT;

        snprintf(ret_path, PATH_MAX, "%s", name);
        if (strchr(name, '/'))
                return exec_file(name, request->argv, request->head.n_argv, request->environment);
        for (const char *next = request->search; next;) {
                char path[PATH_MAX];
                const char *colon = strchrnul(next, ':');
                size_t n = (size_t)(colon - next);

                if (n + 1 + name_size <= sizeof path) {
                        memcpy(path, next, n);
                        memcpy(path + n + (n > 0), name, name_size); /* an empty element: the working directory */
                        if (n > 0)
                                path[n] = '/';
                        int err = exec_file(path, request->argv, request->head.n_argv, request->environment);
                        if (err == EACCES && is_closed_by_sandbox(task, path)) {
                                snprintf(ret_path, PATH_MAX, "%s", path);
                                return err;
                        }
                        if (err == EACCES)
                                found = EACCES;
                        else if (err != ENOENT && err != ENOTDIR && err != ESTALE && err != ENODEV && err != ETIMEDOUT)
                                return err;
                }
                next = *colon ? colon + 1 : NULL;
        }
        return found;
}

static void set_core_filter(uint64_t filter) {
        char text[32];
        int n = snprintf(text, sizeof text, "%#llx", (unsigned long long)filter);
        FSRV_CLEANUP_FD int fd = fsrv__open("/proc/self/coredump_filter", O_WRONLY);

        if (fd >= 0)
                (void)!write(fd, text, (size_t)n);
}

/* The filter is a property of the memory, which execve(2) hands on to the new memory. */
void fsrv__core_filter_restore(const struct fsrv__standby *standby) {
        if (standby->core_filter)
                set_core_filter(standby->core_filter - 1);
}

void fsrv__core_filter_widen(const struct fsrv__standby *standby) {
        if (standby->core_filter)
                set_core_filter((standby->core_filter - 1) | FSRV_COREDUMP_FILE_PRIVATE);
}

static void end_attributes(struct fsrv__task *task) {
        struct fsrv_error error;

        if (fsrv__attributes_are_there(task) && fsrv__attributes_end(task, &error) < 0)
                fsrv__task_fail(task, task->answer, &error);
}

/* Without privileges, and with few open files, a process can send no fds where its user has many in flight (unix(7),
 * ETOOMANYREFS). So both are taken away last. */
static void take_rest_away(const struct fsrv__task *task) {
        if (task->request.attributes || task->standby->lock)
                fsrv__limits_end(task);
        if (task->standby->lock && fsrv__lock_finish(task->standby->lock) < 0)
                _exit(127); /* capset(2) that drops some has no reason to fail */
}

_Noreturn void fsrv__run_program(struct fsrv__task *task) {
        const struct fsrv__request_parts *request = &task->request;
        struct fsrv_error error;
        char path[PATH_MAX];
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0) {
                fsrv__fail(&error, FSRV_STAGE_EXEC, errno, "a pipe");
                fsrv__task_fail(task, task->answer, &error);
        }
        end_attributes(task);
        /* The client would wait for the exec, which comes when it has let the process go on. */
        send_started(task, request->head.flags & FSRV_WIRE_START_STOPPED ? -1 : ends[0]);
        fsrv__setup_stop(task);
        take_rest_away(task);
        fsrv__setup_unblock(&request->head);
        FSRV_PROBE(worker_runs, request->name, task->client.pid);
        int err = exec_search(task, path);
        /* The pipe's reader may be gone. SIGPIPE would end this process with a status that looks like a program's. */
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        fsrv__fail(&error, FSRV_STAGE_EXEC, err, "executing '%s'%s", path,
                   task->standby->lock ? " in its sandbox" : "");
        fsrv__task_fail(task, ends[1], &error);
}

static size_t count_handed(const struct fsrv__request_parts *request) {
        size_t n = 0;

        for (uint32_t i = 0; i < request->head.n_actions; i++)
                n += request->actions[i].type == FSRV_WIRE_HAND;
        return n;
}

/* What the module may use later stays open, close-on-exec; our other fds are closed. */
static int keep_for_module(struct fsrv__task *task, struct fsrv_error *error) {
        const struct fsrv__request_parts *request = &task->request;
        size_t n = count_handed(request);
        int *fds = n ? malloc(n * sizeof *fds) : NULL;

        if (n && !fds)
                return fsrv__fail(error, FSRV_STAGE_REQUEST, ENOMEM, "a list of %zu fds", n);
        fsrv__inherited = (struct fsrv__inherited){
                .is_worker = true,
                .doorbell = task->doorbell,
                .lifeline = task->lifeline,
                .tracker = task->tracker,
                .data = -1,
                .result = task->result,
                .fds = fds,
                .payload = request->payload,
                .payload_size = request->head.payload_size,
                .client_pid = task->client.pid,
                .client_uid = task->client.uid,
        };
        for (uint32_t i = 0; i < request->head.n_actions; i++) {
                const struct fsrv__wire_action *action = &request->actions[i];

                if (action->type == FSRV_WIRE_HAND && fds)
                        fds[fsrv__inherited.n_fds++] = fsrv__fd_steal(&task->fds[action->source]);
                else if (action->type == FSRV_WIRE_DATA)
                        fsrv__inherited.data = fsrv__fd_steal(&task->fds[action->source]);
        }
        fsrv__fds_close(task->fds, request->head.n_fds);
        return 0;
}

/* Exit functions run in the reverse order of their registration. When this one is called, those of this process have
 * run, and those that the zygote registered would follow. */
static void leave_quickly(int code, void *data) {
        (void)data;
        fflush(NULL);
        _exit(code);
}

_Noreturn void fsrv__run_entry(struct fsrv__task *task) {
        const struct fsrv__request_parts *request = &task->request;
        const struct fsrv_host *host = task->standby->host;
        struct fsrv_error error;

        if (environ != request->environment) /* that is the usual list: see task.c */
                environ = (char **)request->environment;
        program_invocation_name = request->argv[0];
        const char *slash = strrchr(request->argv[0], '/');
        program_invocation_short_name = slash ? (char *)slash + 1 : request->argv[0];
        if (request->head.flags & FSRV_WIRE_QUICK_EXIT && on_exit(leave_quickly, NULL) != 0) {
                fsrv__fail(&error, FSRV_STAGE_SETUP, ENOMEM, "the exit function of a quick exit");
                fsrv__task_fail(task, task->answer, &error);
        }
        if (request->head.flags & FSRV_WIRE_WANTS_RESULT && fsrv__result_begin() < 0) {
                fsrv__fail(&error, FSRV_STAGE_SETUP, ENOMEM, "the exit function that sends the result");
                fsrv__task_fail(task, task->answer, &error);
        }
        end_attributes(task);
        /* A constructor of a module that isn't preloaded could write to the server. (The answer socket stays open: it
         * is about this process alone.) */
        bool loads = host->loads && host->loads(request->name);
        if (loads) {
                take_rest_away(task);
                task->claims = fsrv__fd_close(task->claims);
                send_loads(task);
        }
        if (host->find(request->name, &error) < 0 || keep_for_module(task, &error) < 0)
                fsrv__task_fail(task, task->answer, &error);
        send_started(task, -1);
        if (!loads)
                take_rest_away(task);
        fsrv__fd_close(task->answer);
        fsrv__fd_close(task->claims);
        fsrv__fd_close(task->pidfd);
        fsrv__fd_close(task->directory);
        fsrv__setup_stop(task);
        fsrv__setup_unblock(&request->head);
        FSRV_PROBE(worker_runs, request->name, task->client.pid);
        exit(host->run((int)request->head.n_argv, (char **)request->argv, environ));
}
