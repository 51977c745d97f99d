/* SPDX-License-Identifier: MIT */
/* Reaching into other processes: the target, the parent without one. */
#define _GNU_SOURCE
#include "escapes.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif
#ifndef PR_SCHED_CORE
#define PR_SCHED_CORE 62
#endif

enum { WHO_PROCESS = 1, WHO_GROUP = 2, WHO_USER = 3 }; /* of ioprio_set(2) */

static int pidfd_of_target(void) {
        return from(syscall(SYS_pidfd_open, target(), 0));
}

/* Closes it. */
static int let_through_with(int fd, long result) {
        int r = fd < 0 ? fd : let_through(result);

        if (fd >= 0)
                close(fd);
        return r;
}

static int ptrace_attach(void) {
        if (ptrace(PTRACE_ATTACH, target(), NULL, NULL) < 0)
                return -errno;
        waitpid(target(), NULL, __WALL);
        ptrace(PTRACE_DETACH, target(), NULL, NULL);
        return 0;
}

static int ptrace_seize(void) {
        if (ptrace(PTRACE_SEIZE, target(), NULL, NULL) < 0)
                return -errno;
        if (ptrace(PTRACE_INTERRUPT, target(), NULL, NULL) == 0)
                waitpid(target(), NULL, __WALL);
        ptrace(PTRACE_DETACH, target(), NULL, NULL);
        return 0;
}

static int trace_me(void) {
        return from(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

/* The parent then is told to trace us, and each of our execs would stop. Not in this process, which has to end. */
static int ptrace_traceme(void) {
        return in_child(trace_me);
}

/* An own child, whose registers a tracer could change after a filter has looked at them (CVE-2017-5206). */
static int ptrace_own_child(void) {
        int ends[2], r;
        char byte;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        pid_t pid = fork();
        if (pid == 0) {
                close(ends[1]);
                (void)!read(ends[0], &byte, 1); /* until we close it; to kill it could be refused */
                _exit(0);
        }
        r = pid < 0 ? -errno : from(ptrace(PTRACE_SEIZE, pid, NULL, NULL));
        close(ends[0]);
        close(ends[1]);
        if (pid > 0)
                waitpid(pid, NULL, 0);
        return r;
}

/* A wrong address is what comes after a right process. */
static int reached(long result) {
        return result < 0 && errno != EFAULT ? -errno : 0;
}

static int vm_read(void) {
        char byte;
        struct iovec here = { &byte, 1 }, there = { (void *)&vm_read, 1 };

        return reached(process_vm_readv(target(), &here, 1, &there, 1, 0));
}

/* To an address that nothing is mapped at. */
static int vm_write(void) {
        char byte = 0;
        struct iovec here = { &byte, 1 }, there = { (void *)64, 1 };

        return reached(process_vm_writev(target(), &here, 1, &there, 1, 0));
}

static int getfd(void) {
        int pidfd = pidfd_of_target(), fd = pidfd < 0 ? pidfd : from(syscall(SYS_pidfd_getfd, pidfd, 0, 0));

        if (pidfd >= 0)
                close(pidfd);
        if (fd >= 0)
                close(fd);
        return fd == -EBADF ? 0 : fd;
}

static int pidfd_signal(void) {
        int pidfd = pidfd_of_target();

        return let_through_with(pidfd, syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
}

static int kill_target(void) {
        return from(kill(target(), 0));
}

static int kill_server(void) {
        return from(kill(getppid(), 0));
}

static int kill_init(void) {
        return from(kill(1, 0));
}

static int tgkill_target(void) {
        return from(syscall(SYS_tgkill, target(), target(), 0));
}

static int tkill_target(void) {
        return from(syscall(SYS_tkill, target(), 0));
}

static int queue_signal(void) {
        siginfo_t info = { .si_code = SI_QUEUE, .si_pid = getpid(), .si_uid = getuid() };

        return from(syscall(SYS_rt_sigqueueinfo, target(), 0, &info));
}

static int queue_thread_signal(void) {
        siginfo_t info = { .si_code = SI_QUEUE, .si_pid = getpid(), .si_uid = getuid() };

        return from(syscall(SYS_rt_tgsigqueueinfo, target(), target(), 0, &info));
}

static int get_limit(void) {
        struct rlimit limit;

        return from(prlimit(target(), RLIMIT_NOFILE, NULL, &limit));
}

static int set_limit(void) {
        struct rlimit limit;

        if (prlimit(target(), RLIMIT_CORE, NULL, &limit) < 0)
                return -errno;
        return from(prlimit(target(), RLIMIT_CORE, &limit, NULL));
}

static int set_priority(void) {
        return from(setpriority(PRIO_PROCESS, (id_t)target(), getpriority(PRIO_PROCESS, (id_t)target())));
}

/* No other process is named here; but all of the user are meant, or of the group. */
static int set_priority_of_user(void) {
        return from(setpriority(PRIO_USER, 0, 0));
}

static int set_priority_of_group(void) {
        return from(setpriority(PRIO_PGRP, 0, 0));
}

static int set_affinity(void) {
        cpu_set_t set;

        if (sched_getaffinity(target(), sizeof set, &set) < 0)
                return -errno;
        return from(sched_setaffinity(target(), sizeof set, &set));
}

static int set_scheduler(void) {
        struct sched_param parameter = { 0 };

        return from(sched_setscheduler(target(), SCHED_OTHER, &parameter));
}

static int set_scheduler_attributes(void) {
        struct {
                unsigned size, policy;
                unsigned long long flags;
                int nice;
                unsigned priority;
                unsigned long long runtime, deadline, period;
        } attributes = { .size = 48 };

        return from(syscall(SYS_sched_setattr, target(), &attributes, 0));
}

static int set_scheduler_parameter(void) {
        struct sched_param parameter = { 0 };

        return from(sched_setparam(target(), &parameter));
}

static int set_io_priority(void) {
        return from(syscall(SYS_ioprio_set, WHO_PROCESS, target(), 0));
}

static int set_io_priority_of_user(void) {
        return from(syscall(SYS_ioprio_set, WHO_USER, getuid(), 0));
}

static int set_io_priority_of_group(void) {
        return from(syscall(SYS_ioprio_set, WHO_GROUP, 0, 0));
}

static int write_oom_score(void) {
        char path[64];

        snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)target());
        return open_path(path, O_WRONLY);
}

static int move_pages_of_target(void) {
        return let_through(syscall(SYS_move_pages, target(), 0UL, NULL, NULL, NULL, 0));
}

static int migrate_pages_of_target(void) {
        unsigned long nodes = 1;

        return let_through(syscall(SYS_migrate_pages, target(), 8UL, &nodes, &nodes));
}

static int compare(void) {
        return let_through(syscall(SYS_kcmp, getpid(), target(), 0, 0, 0));
}

static int madvise_target(void) {
        int pidfd = pidfd_of_target();
        struct iovec there = { (void *)&madvise_target, 1 };

        return let_through_with(pidfd, syscall(SYS_process_madvise, pidfd, &there, 1UL, 21 /* MADV_PAGEOUT */, 0));
}

static int release_memory(void) {
        int pidfd = pidfd_of_target();

        return let_through_with(pidfd, syscall(SYS_process_mrelease, pidfd, 0));
}

static int get_robust_list(void) {
        void *head;
        size_t size;

        return from(syscall(SYS_get_robust_list, target(), &head, &size));
}

static int share_core(void) {
        int r = from(prctl(PR_SCHED_CORE, 2 /* SHARE_TO */, target(), 0, 0));

        return r == -EINVAL || r == -ENODEV ? not_here("this machine has no core scheduling") : r;
}

/* The kernel signals the owner of an fd for us. Signal 0 can't be asked for, so this one kills the target. */
static int signal_by_fd(void) {
        int ends[2], r;

        if (!setting("ESCAPE_TARGET"))
                return not_here("the test has not named a process that may be killed");
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        r = from(fcntl(ends[0], F_SETOWN, target()));
        if (r >= 0)
                r = from(fcntl(ends[0], F_SETSIG, SIGUSR1));
        if (r >= 0)
                r = from(fcntl(ends[0], F_SETFL, O_ASYNC));
        if (r >= 0)
                r = write(ends[1], "x", 1) < 0 ? -errno : 0;
        for (int i = 0; r == 0 && i < 50 && kill(target(), 0) == 0; i++)
                usleep(1000);
        close(ends[0]);
        close(ends[1]);
        return r;
}

const struct attempt process_attempts[] = {
        { "ptrace_attach", ptrace_attach },
        { "ptrace_seize", ptrace_seize },
        { "ptrace_traceme", ptrace_traceme },
        { "ptrace_own_child", ptrace_own_child },
        { "vm_read", vm_read },
        { "vm_write", vm_write },
        { "getfd", getfd },
        { "pidfd_signal", pidfd_signal },
        { "kill_target", kill_target },
        { "kill_server", kill_server },
        { "kill_init", kill_init },
        { "tgkill_target", tgkill_target },
        { "tkill_target", tkill_target },
        { "queue_signal", queue_signal },
        { "queue_thread_signal", queue_thread_signal },
        { "get_limit", get_limit },
        { "set_limit", set_limit },
        { "set_priority", set_priority },
        { "set_priority_of_user", set_priority_of_user },
        { "set_priority_of_group", set_priority_of_group },
        { "set_affinity", set_affinity },
        { "set_scheduler", set_scheduler },
        { "set_scheduler_attributes", set_scheduler_attributes },
        { "set_scheduler_parameter", set_scheduler_parameter },
        { "set_io_priority", set_io_priority },
        { "set_io_priority_of_user", set_io_priority_of_user },
        { "set_io_priority_of_group", set_io_priority_of_group },
        { "write_oom_score", write_oom_score },
        { "move_pages_of_target", move_pages_of_target },
        { "migrate_pages_of_target", migrate_pages_of_target },
        { "compare", compare },
        { "madvise_target", madvise_target },
        { "release_memory", release_memory },
        { "get_robust_list", get_robust_list },
        { "share_core", share_core },
        { NULL, NULL },
};

/* Whether it worked is seen at the target, which is gone: so it is no attempt, but an entry point of its own. */
int signal_target_by_fd(int argc, char **argv) {
        (void)argc;
        (void)argv;
        return signal_by_fd() == 0 ? 0 : 1;
}
