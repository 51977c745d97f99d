/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/error.h"
#include "worker/worker.h"

static bool ignore_alarm;

static void mask_alarm(int how) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGALRM);
        sigprocmask(how, &set, NULL);
}

/* A module's constructor, or a file system, may hang when the client has long given up: SIGALRM, at its default and alone
 * not blocked, ends us then. (timer_create(2) with SIGKILL costs a short worker 15 us.) */
void fsrv_setup_watchdog(uint32_t limit_ms) {
        struct itimerval limit = { .it_value = { .tv_sec = limit_ms / 1000, .tv_usec = limit_ms % 1000 * 1000 } };

        if (limit_ms == 0)
                return;
        setitimer(ITIMER_REAL, &limit, NULL);
        mask_alarm(SIG_UNBLOCK);
}

void fsrv_setup_watchdog_off(void) {
        struct itimerval none = { 0 };

        setitimer(ITIMER_REAL, &none, NULL); /* it would outlive execve(2) */
        mask_alarm(SIG_BLOCK);
        if (ignore_alarm)
                signal(SIGALRM, SIG_IGN);
}

/* What was sent to the server's process group while this was a standby of it is not for the worker: ignoring a signal
 * discards it where it is pending. */
static void discard_pending(void) {
        sigset_t pending;

        sigemptyset(&pending);
        sigpending(&pending);
        for (int s = 1; s <= SIGRTMAX; s++)
                if (sigismember(&pending, s) == 1) {
                        signal(s, SIG_IGN);
                        signal(s, SIG_DFL);
                }
}

/* Zygote and standby left every disposition at its default, and every signal blocked. */
int fsrv_setup_signals(const struct fsrv_wire_request *head, struct fsrv_error *error) {
        discard_pending();
        for (int s = 1; s <= 64; s++) {
                if (!(head->signals_ignored >> (s - 1) & 1) || s == SIGKILL || s == SIGSTOP)
                        continue;
                if (s >= 32 && s < SIGRTMIN)
                        continue; /* glibc's own two */
                if (s == SIGALRM) {
                        ignore_alarm = true; /* when the watchdog is off */
                        continue;
                }
                if (signal(s, SIG_IGN) == SIG_ERR)
                        return fsrv_fail(error, FSRV_STAGE_SIGNALS, errno, "ignoring signal %d", s);
        }
        return 0;
}

int fsrv_setup_group(const struct fsrv_wire_request *head, struct fsrv_error *error) {
        if (head->flags & FSRV_WIRE_NEW_SESSION)
                return setsid() < 0 ? fsrv_fail(error, FSRV_STAGE_GROUP, errno, "setsid") : 0;
        if (head->flags & FSRV_WIRE_SET_GROUP && setpgid(0, head->group) < 0)
                return fsrv_fail(error, FSRV_STAGE_GROUP, errno, "setpgid to group %d", head->group);
        /* EPERM: the client is in another session, or its group has gone. Not to stay in the server's: whoever
         * signals that means the server. */
        if (head->flags & FSRV_WIRE_JOIN_GROUP && setpgid(0, head->group) < 0 && setpgid(0, 0) < 0)
                return fsrv_fail(error, FSRV_STAGE_GROUP, errno, "setpgid");
        return 0;
}

int fsrv_setup_directory(const struct fsrv_task *task, struct fsrv_error *error) {
        const char *directory = task->request.directory;

        umask(task->request.head.umask);
        if (directory[0] != '/' && fchdir(task->directory) < 0)
                return fsrv_fail(error, FSRV_STAGE_DIRECTORY, errno, "the caller's working directory");
        if (directory[0] && chdir(directory) < 0)
                return fsrv_fail(error, FSRV_STAGE_DIRECTORY, errno, "directory '%s'", directory);
        return 0;
}

void fsrv_setup_unblock(const struct fsrv_wire_request *head) {
        sigset_t mask;

        sigemptyset(&mask);
        for (int s = 1; s <= 64; s++)
                if (head->signal_mask >> (s - 1) & 1)
                        sigaddset(&mask, s);
        sigprocmask(SIG_SETMASK, &mask, NULL);
}
