/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker/attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/call.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/syscall_numbers.h"

/* Linux 6.3, and newer than the headers of some systems */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE              65
#define PR_MDWE_REFUSE_EXEC_GAIN (1UL << 0)
#endif

#define FAILED FSRV_ATTRIBUTE_FAILED

/* ---- what may need privileges ---- */

/* Of the fds that it needs; the last are the request's last. */
enum own_fd { RULESET, CGROUP, TERMINAL };

static int own_fd(const struct fsrv__task *task, const struct fsrv__wire_attributes *a, enum own_fd which) {
        uint32_t behind = 1;

        if (which > RULESET && a->mask & FSRV_ATTRIBUTE_RULESET)
                behind++;
        if (which > CGROUP && a->mask & FSRV_ATTRIBUTE_CGROUP_FD)
                behind++;
        return task->fds[task->request.head.n_fds - behind];
}

/* The fd is that of the group's cgroup.procs. "0" is the process that writes. The name is for people. */
static int join_cgroup(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        int fd = own_fd(task, a, CGROUP);
        char link[32], path[128];
        long r = fsrv__call(SYS_write, fd, "0", 1);

        if (r >= 0)
                return 0;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        long n = fsrv__call(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
        path[n > 0 ? n : 0] = 0;
        return FAILED(error, (int)-r, "moving to the cgroup %s", path);
}

static int raise_limits(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        (void)task;
        return fsrv__limits_raise(a, error);
}

static int set_scheduler(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        const struct sched_param parameter = { .sched_priority = a->scheduler_priority };
        long r = fsrv__call(SYS_sched_setscheduler, 0, a->scheduler, &parameter);

        (void)task;
        return r < 0 ? FAILED(error, (int)-r, "scheduler %d with priority %d", a->scheduler, a->scheduler_priority) : 0;
}

static int set_nice(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        long r = fsrv__call(SYS_setpriority, PRIO_PROCESS, 0, a->nice);

        (void)task;
        return r < 0 ? FAILED(error, (int)-r, "nice value %d", a->nice) : 0;
}

static int set_io_priority(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        long r = fsrv__call(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, a->io_priority);

        (void)task;
        return r < 0 ? FAILED(error, (int)-r, "I/O priority of class %u, level %u",
                              (unsigned)IOPRIO_PRIO_CLASS(a->io_priority), (unsigned)IOPRIO_PRIO_DATA(a->io_priority))
                     : 0;
}

static int set_affinity(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        long r = fsrv__call(SYS_sched_setaffinity, 0, a->affinity_size, fsrv__attributes_affinity(a));

        (void)task;
        return r < 0 ? FAILED(error, (int)-r, "the set of processors") : 0;
}

static int set_timer_slack(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        long r = fsrv__call(SYS_prctl, PR_SET_TIMERSLACK, (unsigned long)a->timer_slack_ns);

        (void)task;
        return r < 0 ? FAILED(error, (int)-r, "timer slack of %llu ns", (unsigned long long)a->timer_slack_ns) : 0;
}

/* ---- what the new user is and has ---- */

static int set_identity(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        (void)task;
        return fsrv__identity_set(a, error);
}

static int join_keyring(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        long r = fsrv__call(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);

        (void)task, (void)a;
        return r < 0 ? FAILED(error, (int)-r, "a new session keyring") : 0;
}

static int set_pdeathsig(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        long r = fsrv__call(SYS_prctl, PR_SET_PDEATHSIG, a->pdeathsig);

        (void)task;
        return r < 0 ? FAILED(error, (int)-r, "signal %d for the server's end", a->pdeathsig) : 0;
}

/* The memory is a root server's: the user that asked is not to trace it. */
static int set_dumpable(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        bool is_refused = a->dumpable && fsrv__runs_as_sender(task->standby->config, &task->client);
        long r = is_refused ? -EPERM : fsrv__call(SYS_prctl, PR_SET_DUMPABLE, a->dumpable);

        return r < 0 ? FAILED(error, (int)-r, "dumpable %u", a->dumpable) : 0;
}

/* ---- what our own steps would suffer from ---- */

static int terminal_fd(const struct fsrv__task *task, const struct fsrv__wire_attributes *a) {
        return a->terminal_is_stdin ? STDIN_FILENO : own_fd(task, a, TERMINAL);
}

static int take_terminal(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        const char *which = a->terminal_is_stdin ? ", which is to be standard input" : "";
        long r = fsrv__call(SYS_ioctl, terminal_fd(task, a), TIOCSCTTY, 0);

        return r < 0 ? FAILED(error, (int)-r, "the controlling terminal%s", which) : 0;
}

static int set_limits(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        (void)task;
        return fsrv__limits_set(a, error);
}

static int set_mdwe(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        long r = fsrv__call(SYS_prctl, PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN);

        (void)task, (void)a;
        return r < 0 ? FAILED(error, (int)-r, "refusing executable memory (MDWE)") : 0;
}

static int set_no_new_privs(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        long r = fsrv__call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1);

        (void)task, (void)a;
        return r < 0 ? FAILED(error, (int)-r, "no new privileges") : 0;
}

static int enter_ruleset(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        long r = fsrv__call(SYS_landlock_restrict_self, own_fd(task, a, RULESET), 0);

        return r < 0 ? FAILED(error, (int)-r, "the ruleset of landlock") : 0;
}

/* ---- in their order ---- */

#define IDENTITY \
        (FSRV_ATTRIBUTE_UID | FSRV_ATTRIBUTE_GID | FSRV_ATTRIBUTE_GROUPS | FSRV_ATTRIBUTE_CAP_EFFECTIVE | \
         FSRV_ATTRIBUTE_CAP_PERMITTED | FSRV_ATTRIBUTE_CAP_INHERITABLE | FSRV_ATTRIBUTE_CAP_AMBIENT | \
         FSRV_ATTRIBUTE_CAP_BOUNDING | FSRV_ATTRIBUTE_SECUREBITS)

struct step {
        uint64_t attributes; /* it is done for any of these */
        int (*function)(struct fsrv__task *task, const struct fsrv__wire_attributes *a, struct fsrv_error *error);
};

static const struct step privileged[] = {
        { FSRV_ATTRIBUTE_CGROUP_FD, join_cgroup },
        { FSRV_ATTRIBUTE_LIMITS, raise_limits }, /* RLIMIT_NICE and RLIMIT_RTPRIO allow what comes next */
        { FSRV_ATTRIBUTE_SCHEDULER, set_scheduler },
        { FSRV_ATTRIBUTE_NICE, set_nice }, /* the scheduler may reset it */
        { FSRV_ATTRIBUTE_IO_PRIORITY, set_io_priority },
        { FSRV_ATTRIBUTE_AFFINITY, set_affinity },
        { FSRV_ATTRIBUTE_TIMER_SLACK, set_timer_slack },
        { IDENTITY, set_identity },
        { FSRV_ATTRIBUTE_KEYRING, join_keyring },    /* the new user's */
        { FSRV_ATTRIBUTE_PDEATHSIG, set_pdeathsig }, /* new ids clear it */
        { FSRV_ATTRIBUTE_DUMPABLE, set_dumpable },   /* and this */
};

static const struct step last[] = {
        { FSRV_ATTRIBUTE_TERMINAL, take_terminal },
        { FSRV_ATTRIBUTE_LIMITS, set_limits },
        { FSRV_ATTRIBUTE_MDWE, set_mdwe },
        { FSRV_ATTRIBUTE_NO_NEW_PRIVS | FSRV_ATTRIBUTE_RULESET, set_no_new_privs },
        { FSRV_ATTRIBUTE_RULESET, enter_ruleset },
};

static int do_steps(struct fsrv__task *task, const struct step *steps, size_t n, struct fsrv_error *error) {
        const struct fsrv__wire_attributes *a = task->request.attributes;
        int r = 0;

        for (size_t i = 0; a && r == 0 && i < n; i++)
                if (a->mask & steps[i].attributes)
                        r = steps[i].function(task, a, error);
        return r;
}

/* Once the process has other ids than root's, its own /proc/self is root's. So the file is opened before, and written
 * to with the rights of then. */
static int open_oom_score(const struct fsrv__task *task, int *ret_fd, struct fsrv_error *error) {
        const struct fsrv__wire_attributes *a = task->request.attributes;

        *ret_fd = -1;
        if (!a || !(a->mask & FSRV_ATTRIBUTE_OOM_SCORE_ADJ))
                return 0;
        *ret_fd = fsrv__open("/proc/self/oom_score_adj", O_WRONLY);
        return *ret_fd < 0 ? FAILED(error, -*ret_fd, "oom_score_adj") : 0;
}

static int write_oom_score(const struct fsrv__task *task, int fd, struct fsrv_error *error) {
        char text[16];

        if (fd < 0)
                return 0;
        int score = task->request.attributes->oom_score_adj, n = snprintf(text, sizeof text, "%d", score);
        long r = fsrv__call(SYS_write, fd, text, n);
        return r < 0 ? FAILED(error, (int)-r, "oom_score_adj %d", score) : 0;
}

int fsrv__attributes_begin(struct fsrv__task *task, struct fsrv_error *error) {
        int oom_score, r = open_oom_score(task, &oom_score, error);

        if (r == 0 && fsrv__runs_as_sender(task->standby->config, &task->client))
                r = fsrv__identity_become_sender(&task->client, error);
        if (r == 0)
                r = write_oom_score(task, oom_score, error);
        fsrv__fd_close(oom_score);
        return r < 0 ? r : do_steps(task, privileged, sizeof privileged / sizeof *privileged, error);
}

int fsrv__attributes_end(struct fsrv__task *task, struct fsrv_error *error) {
        return do_steps(task, last, sizeof last / sizeof *last, error);
}
