/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/call.h"
#include "base/error.h"
#include "base/layout.h"
#include "worker/worker.h"

/* Numbers, since SIGRTMIN and SIGRTMAX are calls. */
enum { FIRST_OF_LIBC = 32, LAST_OF_LIBC, LAST_SIGNAL = 64 };

FSRV__WORKER_VARIABLE static bool ignore_alarm;

static uint64_t bit_of(int signal) {
        return UINT64_C(1) << (signal - 1);
}

/* The kernel's set is an array of long, and has to have its size: _NSIG is 65, of MIPS 128. */
enum { BITS = 8 * sizeof(long), LONGS = _NSIG / BITS };

static void change_mask(int how, uint64_t signals) {
        unsigned long set[LONGS] = { 0 };

        for (size_t i = 0; i < 64 / BITS; i++)
                set[i] = (unsigned long)(signals >> i * BITS);
        fsrv__call(SYS_rt_sigprocmask, how, set, NULL, sizeof set);
}

/* As signal(3), which may take a lock of libc's (SIGABRT's in glibc 2.41). A process that is killed while it has
 * borrowed memory would leave the lock to the lender. */
static int set_disposition(int s, void (*disposition)(int)) {
#ifdef FSRV_CALLS_ARE_BARE
        const long action[8] = { (long)disposition }; /* the kernel's begins with it, here; no flags, an empty mask */

        return (int)fsrv__call(SYS_rt_sigaction, s, action, NULL, _NSIG / 8);
#else
        return signal(s, disposition) == SIG_ERR ? -errno : 0;
#endif
}

/* SIGALRM comes after that time; 0: never. The kernel's setitimer(2) takes `long`, whatever a time is for the C
 * library. */
static void set_alarm(uint32_t ms) {
        const struct { long interval_s, interval_us, s, us; } timer = { .s = ms / 1000, .us = ms % 1000 * 1000 };

        fsrv__call(SYS_setitimer, ITIMER_REAL, &timer, NULL);
}

/* A module's constructor, or a file system, may hang when the client has long given up. SIGALRM, which is at its
 * default and alone not blocked, ends this process then. (timer_create(2) with SIGKILL costs a short worker 15 us.) */
void fsrv__setup_watchdog(uint32_t limit_ms) {
        if (limit_ms == 0)
                return;
        set_alarm(limit_ms);
        change_mask(SIG_UNBLOCK, bit_of(SIGALRM));
}

void fsrv__setup_watchdog_off(void) {
        set_alarm(0); /* it would outlive execve(2) */
        change_mask(SIG_BLOCK, bit_of(SIGALRM));
        if (ignore_alarm)
                set_disposition(SIGALRM, SIG_IGN);
}

/* What was sent to the server's process group while this process was a standby is not for the worker. To ignore a
 * signal discards it where it is pending. */
static void discard_pending(void) {
        unsigned long set[LONGS] = { 0 };

        fsrv__call(SYS_rt_sigpending, set, sizeof set);
        for (int s = 1; s <= LAST_SIGNAL; s++)
                if (set[(s - 1) / BITS] >> (s - 1) % BITS & 1) {
                        set_disposition(s, SIG_IGN);
                        set_disposition(s, SIG_DFL);
                }
}

/* Zygote and standby left every disposition at its default, and every signal blocked. */
int fsrv__setup_signals(const struct fsrv__wire_request *head, struct fsrv_error *error) {
        discard_pending();
        ignore_alarm = false; /* the memory may have been lent before */
        for (int s = 1; s <= LAST_SIGNAL; s++) {
                if (!(head->signals_ignored & bit_of(s)) || s == SIGKILL || s == SIGSTOP)
                        continue;
                if (s == FIRST_OF_LIBC || s == LAST_OF_LIBC)
                        continue;
                if (s == SIGALRM) {
                        ignore_alarm = true; /* when the watchdog is off */
                        continue;
                }
                int r = set_disposition(s, SIG_IGN);
                if (r < 0)
                        return fsrv__fail(error, FSRV_STAGE_SIGNALS, -r, "ignoring signal %d", s);
        }
        return 0;
}

int fsrv__setup_group(const struct fsrv__wire_request *head, struct fsrv_error *error) {
        if (head->flags & FSRV_WIRE_NEW_SESSION)
                return setsid() < 0 ? fsrv__fail(error, FSRV_STAGE_GROUP, errno, "setsid") : 0;
        if (head->flags & FSRV_WIRE_SET_GROUP && setpgid(0, head->group) < 0)
                return fsrv__fail(error, FSRV_STAGE_GROUP, errno, "setpgid to group %d", head->group);
        /* EPERM: the client is in another session, or its group has gone. The worker doesn't stay in the server's
         * group: a signal to that is meant for the server. */
        if (head->flags & FSRV_WIRE_JOIN_GROUP && setpgid(0, head->group) < 0 && setpgid(0, 0) < 0)
                return fsrv__fail(error, FSRV_STAGE_GROUP, errno, "setpgid");
        return 0;
}

/* A process may not change to a directory that it may not search, but may stay in it. */
static bool is_here(int directory) {
        struct stat wanted, own;

        return fstat(directory, &wanted) == 0 && fstatat(AT_FDCWD, "", &own, AT_EMPTY_PATH) == 0 &&
               wanted.st_dev == own.st_dev && wanted.st_ino == own.st_ino;
}

/* The caller's directory is outside of them, and would be a way out. */
static bool has_other_mounts(const struct fsrv__lock *lock) {
        return lock && lock->has_mounts;
}

/* Where it is not there by that name it is "/". getcwd(2) tells the name of a directory that is outside, and says so.
 */
static long enter_by_name(int directory) {
        static const char prefix[] = "(unreachable)";
        char name[PATH_MAX + sizeof prefix];
        const size_t n = sizeof prefix - 1;

        if (fsrv__call(SYS_fchdir, directory) == 0 && fsrv__call(SYS_getcwd, name, sizeof name) > 0 &&
            fsrv__call(SYS_chdir, strncmp(name, prefix, n) == 0 ? name + n : name) == 0)
                return 0;
        return fsrv__call(SYS_chdir, "/");
}

int fsrv__setup_directory(const struct fsrv__task *task, struct fsrv_error *error) {
        const char *directory = task->request.directory;

        fsrv__call(SYS_umask, task->request.head.umask);
        long r = 0;
        if (directory[0] != '/' && has_other_mounts(task->standby->lock))
                r = enter_by_name(task->directory);
        else if (directory[0] != '/')
                r = fsrv__call(SYS_fchdir, task->directory);
        if (r == -EACCES && !is_here(task->directory))
                return fsrv__fail_text(error, FSRV_STAGE_DIRECTORY, EACCES,
                                       "the caller's working directory may not be searched, and the fork server was "
                                       "started in another");
        if (r < 0 && r != -EACCES)
                return fsrv__fail(error, FSRV_STAGE_DIRECTORY, (int)-r, "the caller's working directory");
        if (directory[0] && chdir(directory) < 0)
                return fsrv__fail(error, FSRV_STAGE_DIRECTORY, errno, "directory '%s'", directory);
        return 0;
}

/* The client's debugger is no ancestor of this process: Yama lets it trace those alone that allow it. SIGSTOP
 * can't be blocked. */
void fsrv__setup_stop(const struct fsrv__task *task) {
        if (!(task->request.head.flags & FSRV_WIRE_START_STOPPED))
                return;
        fsrv__call(SYS_prctl, PR_SET_PTRACER, task->client.pid, 0, 0, 0);
        fsrv__call(SYS_kill, getpid(), SIGSTOP);
}

void fsrv__setup_unblock(const struct fsrv__wire_request *head) {
        change_mask(SIG_SETMASK, head->signal_mask & ~(bit_of(FIRST_OF_LIBC) | bit_of(LAST_OF_LIBC)));
}
