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

enum {
        STOP_LOOK_MS = 10,      /* how often we look whether the worker stopped */
        STOP_GIVE_UP_MS = 3000, /* a worker that hasn't stopped by then has ignored the signal, and so do we */
};

struct job {
        struct fsrv_process *process;
        pid_t pid;
        bool shares_group;
        int signal_fd;
        int stop_looks; /* how often we still look for a stop */
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

/* Its parent is the server, so there is no wait(2) that would tell. Without /proc there is no way to know: then better
 * a shell that gets its terminal back. */
static bool worker_is_stopped(const struct job *job) {
        char path[64], text[512];
        const char *end;
        ssize_t n;
        int fd;

        snprintf(path, sizeof path, "/proc/%d/stat", (int)job->pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return access("/proc/self", F_OK) < 0;
        n = read(fd, text, sizeof text - 1);
        close(fd);
        if (n <= 0)
                return false;
        text[n] = '\0';
        end = strrchr(text, ')'); /* the name before it may hold anything */
        return end && end[1] == ' ' && end[2] == 'T';
}

/* Stops this process as the signal would have, so that the shell sees a stopped job. Returns when it was continued. */
static void stop_along(struct job *job) {
        const struct sigaction by_default = { .sa_handler = SIG_DFL };
        sigset_t only_stop;

        sigemptyset(&only_stop);
        sigaddset(&only_stop, SIGTSTP);
        sigaction(SIGTSTP, &by_default, NULL);
        raise(SIGTSTP);
        pthread_sigmask(SIG_UNBLOCK, &only_stop, NULL);
        pthread_sigmask(SIG_BLOCK, &only_stop, NULL);
        job->stop_looks = 0;

        /* The kernel doesn't stop us where no shell could continue us; then the worker mustn't stay stopped either. */
        if (worker_is_stopped(job))
                fsrv_process_kill(job->process, SIGCONT);
}

/* Has the worker got this signal without us? One that kill(2) sends to the whole group reaches it twice: nothing tells
 * that from one sent to us alone, and twice is better than never. */
static bool reached_worker(const struct job *job, const struct signalfd_siginfo *info, bool first) {
        if (info->ssi_pid == (uint32_t)job->pid)
                return true; /* its own kill(0, …), maybe before we heard of its start */
        /* The first came during the spawn: maybe before the worker was in the group */
        if (first || !job->shares_group || info->ssi_code != SI_KERNEL)
                return false;
        /* The terminal's signals go to the foreground group, except that a hang-up is told to the session leader alone,
         * which has to pass it on. That is us where a terminal emulator or sshd started us. */
        return (info->ssi_signo != SIGHUP && info->ssi_signo != SIGCONT) || getsid(0) != getpid();
}

static void take_signals(struct job *job, bool first) {
        struct signalfd_siginfo info;

        while (read(job->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
                int signal = (int)info.ssi_signo;

                if (!reached_worker(job, &info, first))
                        fsrv_process_kill(job->process, signal); /* fails if it has just ended: the status follows */
                if (signal == SIGTSTP)
                        job->stop_looks = STOP_GIVE_UP_MS / STOP_LOOK_MS;
                else if (signal == SIGCONT)
                        job->stop_looks = 0;
        }
}

/* A program may take its time before it stops (an editor resets the terminal first), or not stop at all: the shell must
 * be told of neither too early. */
static void look_for_stop(struct job *job) {
        if (job->stop_looks == 0)
                return;
        if (worker_is_stopped(job))
                stop_along(job);
        else
                job->stop_looks--;
}

static int wait_loop(struct job *job, struct fsrv_status *ret_status, struct fsrv_error *error) {
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
                poll(fds, 2, job->stop_looks ? STOP_LOOK_MS : -1);
                if (fds[0].revents)
                        take_signals(job, false);
                r = fsrv_process_wait(job->process, 0, ret_status, error);
                if (r != -ETIMEDOUT)
                        return r;
                look_for_stop(job);
        }
}

int cli_wait_as_worker(struct fsrv_process *process, const struct cli_signals *signals, bool shares_group,
                       struct fsrv_status *ret_status, struct fsrv_error *error) {
        struct job job = {
                .process = process,
                .pid = fsrv_process_get_pid(process),
                .shares_group = shares_group,
                .signal_fd = signals->fd,
        };

        return wait_loop(&job, ret_status, error);
}
