/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cli.h"

/* Between the terminal or a shell and the worker: signals go down, a stop comes up. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct job {
        struct fsrv_process *process;
        pid_t pid;         /* in our namespace; 0: it has none there */
        bool shares_group; /* ours, so the terminal's signals reach it without us; else it leads one */
        int signal_fd;
};

/* All but those that are about ourselves: our children, and background access to the terminal, which stops us together
 * with the worker without any help. */
static void fill_forwarded(sigset_t *set) {
        sigfillset(set);
        sigdelset(set, SIGCHLD);
        sigdelset(set, SIGTTIN);
        sigdelset(set, SIGTTOU);
}

/* Signals that the caller ignored are taken as well: a blocked signal is kept even if it is ignored. The worker ignores
 * them too, unless it chose otherwise, and then it wants them. */
int cli_signals_block(struct cli_signals *signals, struct fsrv_error *error) {
        sigset_t forwarded;

        fill_forwarded(&forwarded);
        signals->fd = signalfd(-1, &forwarded, SFD_CLOEXEC | SFD_NONBLOCK);
        if (signals->fd < 0)
                return cli_fail(error, FSRV_STAGE_SIGNALS, errno, "cannot make a signalfd");
        pthread_sigmask(SIG_BLOCK, &forwarded, &signals->before);
        return 0;
}

void cli_signals_let_through(const struct cli_signals *signals) {
        sigset_t blocked;

        pthread_sigmask(SIG_SETMASK, &signals->before, &blocked);
        pthread_sigmask(SIG_SETMASK, &blocked, NULL);
}

void cli_signals_restore(const struct cli_signals *signals) {
        pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
        close(signals->fd);
}

static int send_signal(const struct job *job, int number) {
        return job->shares_group ? fsrv_process_kill(job->process, number)
                                 : fsrv_process_kill_group(job->process, number);
}

/* A stop that we were told of may be over by now, as the terminal's signals stop and continue us together with the
 * worker. Without /proc nothing else tells. */
static bool is_stopped(const struct job *job) {
        char path[64], text[512];
        const char *end;
        ssize_t n;
        int fd;

        snprintf(path, sizeof path, "/proc/%d/stat", (int)job->pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return job->pid == 0 || access("/proc/self", F_OK) < 0;
        n = read(fd, text, sizeof text - 1);
        close(fd);
        if (n <= 0)
                return false;
        text[n] = '\0';
        end = strrchr(text, ')'); /* the name before it may hold anything */
        return end && end[1] == ' ' && end[2] == 'T';
}

/* Stops this process as the signal would have, so that the shell sees a stopped job. Returns when it was continued. */
static void stop_ourselves(int number) {
        const struct sigaction by_default = { .sa_handler = SIG_DFL };
        sigset_t only_stop;

        sigemptyset(&only_stop);
        sigaddset(&only_stop, number);
        sigaction(number, &by_default, NULL);
        raise(number);
        pthread_sigmask(SIG_UNBLOCK, &only_stop, NULL);
        pthread_sigmask(SIG_BLOCK, &only_stop, NULL);
}

static void stop_along(const struct job *job, int number) {
        bool was_lent = cli_terminal_take_back();

        stop_ourselves(number);
        if (was_lent)
                cli_terminal_lend(job->pid);
        /* The kernel doesn't stop us where no shell could continue us; then the worker mustn't stay stopped either. Nor
         * if we alone were continued. */
        if (is_stopped(job))
                send_signal(job, SIGCONT);
}

/* A program that stops itself is stopped as a job on its terminal. Without a terminal nothing would continue us: the
 * process that stopped the worker may continue only the worker. */
static void on_stop(const struct job *job, int number) {
        if (!is_stopped(job))
                return;
        if (!job->shares_group && (number == SIGTTIN || number == SIGTTOU) && job->pid > 0 &&
            cli_terminal_lend(job->pid) == 0)
                send_signal(job, SIGCONT);
        else if (number != SIGSTOP || cli_terminal_is_ours())
                stop_along(job, number);
}

/* Says whether the worker has got this signal without us. One that kill(2) sends to the whole group reaches it twice:
 * nothing tells that from one sent to us alone, and twice is better than never. */
static bool reached_worker(const struct job *job, const struct signalfd_siginfo *info, bool first) {
        if (job->pid > 0 && info->ssi_pid == (uint32_t)job->pid)
                return true; /* its own kill(0, …), maybe before we heard of its start */
        /* The first came during the spawn: maybe before the worker was in the group */
        if (first || !job->shares_group || info->ssi_code != SI_KERNEL)
                return false;
        /* The terminal's signals go to the foreground group, except that a hang-up is told to the session leader alone,
         * which has to pass it on. That is us where a terminal emulator or sshd started us. */
        return (info->ssi_signo != SIGHUP && info->ssi_signo != SIGCONT) || getsid(0) != getpid();
}

static void take_signals(const struct job *job, bool first) {
        struct signalfd_siginfo info;

        while (read(job->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
                if (!reached_worker(job, &info, first))
                        send_signal(job, (int)info.ssi_signo); /* fails if it has just ended: the status follows */
                /* A worker that is stopped already will not be stopped again, and we were told of it long ago. */
                if (info.ssi_signo == SIGTSTP && is_stopped(job))
                        stop_along(job, SIGTSTP);
        }
}

static int wait_loop(const struct job *job, struct fsrv_status *ret_status, struct fsrv_error *error) {
        int process_fd = fsrv_process_get_poll_fd(job->process);
        struct pollfd fds[] = {
                { .fd = job->signal_fd, .events = POLLIN },
                { .fd = process_fd, .events = POLLIN },
        };
        int r;

        if (process_fd < 0)
                return cli_fail(error, FSRV_STAGE_STATUS, -process_fd, "cannot watch the process");
        take_signals(job, true);
        for (;;) {
                poll(fds, 2, -1);
                if (fds[0].revents)
                        take_signals(job, false);
                r = fsrv_process_wait(job->process, 0, ret_status, error);
                if (r == 1 && ret_status->flags & FSRV_STATUS_STOPPED)
                        on_stop(job, ret_status->signal);
                else if (r != 1 && r != -ETIMEDOUT)
                        return r;
        }
}

int cli_wait_as_worker(struct fsrv_process *process, pid_t number, const struct cli_signals *signals, bool shares_group,
                       struct fsrv_status *ret_status, struct fsrv_error *error) {
        const struct job job = {
                .process = process,
                .pid = number,
                .shares_group = shares_group,
                .signal_fd = signals->fd,
        };
        int r = wait_loop(&job, ret_status, error);

        cli_terminal_take_back();
        return r;
}
