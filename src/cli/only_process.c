/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "trace.h"

enum {
        SIGNALS_WAIT_MS = 250, /* a worker that runs has been heard of by then, however busy the machine */
};

/*
 * A signal that comes while the modules are being loaded has to end us, and the attempt with us; one that comes when
 * the worker runs is the worker's, even if we don't know yet that it does. So signals wait for the spawn, but not for
 * long.
 */
struct patience {
        const struct cli_signals *signals;
        struct timespec since; /* when we first saw one; 0: none */
};

/* --trace: of the only process. */
static struct cli_trace trace;
static struct cli_trace_job traced = { .track = 1 };

static int look_at_signals(void *data) {
        struct patience *patience = data;
        struct pollfd entry = { .fd = patience->signals->fd, .events = POLLIN };
        struct timespec now;

        if (poll(&entry, 1, 0) <= 0)
                return 0;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (patience->since.tv_sec == 0)
                patience->since = now;
        long waited_ms =
                (now.tv_sec - patience->since.tv_sec) * 1000 + (now.tv_nsec - patience->since.tv_nsec) / 1000000;
        if (waited_ms >= SIGNALS_WAIT_MS) {
                cli_signals_let_through(patience->signals);
                patience->since.tv_sec = 0;
        }
        return 0;
}

static int spawn_interruptibly(struct fsrv_server *server, struct fsrv_request *request,
                               const struct cli_signals *signals, struct fsrv_process **ret_process,
                               struct fsrv_error *error) {
        struct patience patience = { .signals = signals };

        fsrv_request_set_signal_mask(request, &signals->before);
        fsrv_server_set_interrupt(server, look_at_signals, &patience);
        traced.taken = cli_trace_now();
        int r = cli_trace_server(&trace, server, error);
        traced.asked = cli_trace_now();
        if (r == 0)
                r = fsrv_spawn(server, request, ret_process, error);
        traced.started = cli_trace_now();
        fsrv_server_set_interrupt(server, NULL, NULL);
        return r;
}

static int wait_for_end(struct fsrv_process *process, pid_t number, const struct cli_signals *signals,
                        bool shares_group, struct fsrv_status *ret_status) {
        struct fsrv_error error = { 0 };
        int r = cli_wait_as_worker(process, number, signals, shares_group, ret_status, &error);

        if (r < 0)
                cli_complain_error(&error);
        return r;
}

/* A private server's worker is in our group, unless it has a time limit; it may leave it at once, and then that is its
 * own doing. */
static bool shares_group(const struct cli_target *target, pid_t pid) {
        return !target->socket_path ? !target->timeout : pid > 0 && getpgid(pid) == getpgrp();
}

/* Its failure counts, unless the process's own end says more. */
static int end_trace(const struct fsrv_status *status, int code) {
        traced.ended = cli_trace_now();
        traced.status = status;
        if (trace.path)
                cli_trace_write(&trace, &traced);
        return cli_trace_done(&trace) < 0 && code == 0 ? CLI_EXIT_OURS : code;
}

int cli_only_process_spawn(struct fsrv_server *server, struct fsrv_request *request, const struct cli_target *target,
                           struct cli_signals *signals, struct fsrv_process **ret_process) {
        struct fsrv_error error = { 0 };

        traced.item = target->entry ? target->entry : target->program;
        if (cli_trace_open(&trace, target->trace) < 0)
                return CLI_EXIT_OURS;
        int r = cli_signals_block(signals, &error);
        if (r >= 0)
                r = spawn_interruptibly(server, request, signals, ret_process, &error);
        if (r < 0) {
                cli_complain_error(&error);
                traced.started = 0;
                traced.error = &error;
                return end_trace(NULL, cli_exit_code_of_error(&error));
        }
        return 0;
}

int cli_only_process_wait(struct fsrv_process *process, const struct cli_target *target,
                          const struct cli_signals *signals, struct fsrv_status *ret_status) {
        pid_t number = cli_own_number(process, target);
        int r = wait_for_end(process, number, signals, shares_group(target, number), ret_status);
        int code = r < 0 ? CLI_EXIT_OURS : ret_status->exit_code;

        traced.pid = fsrv_process_get_pid(process);
        if (r == 0 && ret_status->flags & FSRV_STATUS_TIMED_OUT && !ret_status->signal)
                code = CLI_EXIT_TIMED_OUT; /* whatever it made of SIGTERM: it may have been 0 */
        return end_trace(r < 0 ? NULL : ret_status, code);
}

/* As a shell does: it is silent where the user, or the end of a reader, has ended the program. */
void cli_complain_of_death(const struct fsrv_status *status, const struct cli_target *target, const char *name) {
        char signal[32];

        if (status->flags & FSRV_STATUS_REFUSED)
                cli_complain("%s was killed by its sandbox, which refuses the system call %s", name,
                             fsrv_syscall_name(status->refused_call));
        else if (status->flags & FSRV_STATUS_TIMED_OUT)
                cli_complain("%s was ended: it ran longer than %g s", name, target->timeout);
        else if (status->signal && status->signal != SIGINT && status->signal != SIGPIPE)
                cli_complain("%s was killed by %s%s", name, cli_signal_name(status->signal, signal),
                             status->flags & FSRV_STATUS_CORE_DUMPED ? " (core dumped)" : "");
        if (status->refused > 0 && (status->signal || status->exit_code) && !(status->flags & FSRV_STATUS_REFUSED))
                cli_complain("the sandbox of %s has refused %s%s", name, fsrv_syscall_name(status->refused_call),
                             status->refused > 1 ? ", and more" : "");
}
