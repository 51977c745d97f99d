/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker/lock.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/call.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/locks.h"
#include "wire/inherited.h"
#include "wire/rules.h"
#include "worker/apart.h"
#include "worker/landlock.h"
#include "worker/lock_limits.h"
#include "worker/mounts.h"
#include "worker/namespaces.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE              65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

/* ---- capabilities ---- */

enum { LAST_CAPABILITY = 63 };
/* Until user code runs: to change ids, and to send fds where the user has many in flight. */
#define KEPT (1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_SETPCAP | 1u << CAP_SYS_RESOURCE)

/* The bounding set needs CAP_SETPCAP. Without it a process gets nothing more by executing a program either, because of
 * no_new_privs. */
static int drop_capabilities(struct fsrv__lock *lock, struct fsrv_error *error) {
        if (!lock->drops_capabilities)
                return 0;
        for (int i = 0; i <= LAST_CAPABILITY; i++)
                if (i > 31 || !(KEPT >> i & 1))
                        fsrv__call(SYS_prctl, PR_CAPBSET_DROP, i, 0, 0, 0);
        int r = fsrv__lock_keep_capabilities(KEPT);
        lock->drops_capabilities = r > 0; /* an ordinary user has none */
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_SANDBOX, -r, "dropping capabilities") : 0;
}

/* ---- filters ---- */

static int fail_filter(struct fsrv_error *error, const char *what, int r) {
        return fsrv__fail(error, FSRV_STAGE_SANDBOX, -r, "%s of system calls", what);
}

static int install_own(const struct fsrv__sandbox_parts *sandbox, bool listens, struct fsrv__lock *lock) {
        struct sock_filter *filter = malloc(FSRV_FILTER_ROOM * sizeof *filter);
        int r = -ENOMEM;

        lock->n_late = fsrv__filter_write_late(sandbox, lock->late, &lock->late_pid);
        if (filter)
                r = fsrv__filter_write(sandbox, listens, filter);
        if (r > 0)
                r = fsrv__filter_install(filter, (size_t)r, listens);
        if (r > 0 && listens) {
                lock->listener = r;
        } else if (r == -EBUSY) { /* the one outside, a container's for example */
                r = fsrv__filter_write(sandbox, false, filter);
                if (r > 0)
                        r = fsrv__filter_install(filter, (size_t)r, false);
        }
        free(filter);
        return r < 0 ? r : 0;
}

/* The user's filter comes last: until then ours alone has to let our own calls through. */
static int install_filters(const struct fsrv__sandbox_parts *sandbox, bool listens, struct fsrv__lock *lock,
                           struct fsrv_error *error) {
        if (!fsrv__seccomp_is_there())
                return 0;
        int r = 0;
        if (fsrv__seccomp_knows_calls()) /* else the report says so */
                r = install_own(sandbox, listens, lock);
        if (r < 0)
                return fail_filter(error, "the sandbox's filter", r);
        if (sandbox->head.n_filter > 0)
                r = fsrv__filter_install(sandbox->filter, sandbox->head.n_filter, false);
        return r < 0 ? fail_filter(error, "the filter that was given", r) : 0;
}

/* ---- all of it ---- */

static int set_process_flags(const struct fsrv__sandbox_parts *sandbox, struct fsrv_error *error) {
        long r = fsrv__call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, (int)-r, "no_new_privs");
        if (sandbox->head.flags & FSRV_LOCK_MDWE) {
                r = fsrv__call(SYS_prctl, PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
                if (r < 0 && r != -EINVAL)
                        return fsrv__fail(error, FSRV_STAGE_SANDBOX, (int)-r, "PR_SET_MDWE");
        }
        return 0;
}

static int make_apart(const struct fsrv__sandbox_parts *sandbox, struct fsrv__lock *lock, struct fsrv_error *error) {
        if (!(sandbox->head.flags & (FSRV_LOCK_APART | FSRV_LOCK_SCOPES)))
                return 0;
        int r = fsrv__landlock_apart(sandbox);
        if (r < 0 && r != -ENOSYS)
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, -r, "a landlock ruleset");
        lock->apart = r < 0 ? -1 : r;
        return 0;
}

/* Landlock and filters hold for the thread that asks for them. Another one of the same memory would stay free. The call
 * does nothing where there is one thread, and fails where there are more. */
static int check_threads(struct fsrv_error *error) {
        if (unshare(CLONE_THREAD) < 0 && errno == EINVAL)
                return fsrv__fail_text(error, FSRV_STAGE_SANDBOX, EINVAL,
                                       "a process with several threads cannot be locked in");
        return 0;
}

/* What is not there by now never comes: a gap is seen before anything is done. */
static void take_gap(const struct fsrv_sandbox_rule *rule, void *data) {
        struct fsrv_error *error = data;

        if (error->err == 0 && rule->state != FSRV_RULE_ENFORCED)
                fsrv__fail_text(error, FSRV_STAGE_SANDBOX, EOPNOTSUPP, "%s cannot be enforced here: %s", rule->what,
                                rule->why);
}

static int check_gaps(const struct fsrv__sandbox_parts *sandbox, struct fsrv_error *error) {
        struct fsrv_error gap = { 0 };

        if (sandbox->head.flags & FSRV_LOCK_STRICT)
                fsrv__rules_tell(sandbox, take_gap, &gap);
        if (gap.err && error)
                *error = gap;
        return -gap.err;
}

int fsrv__lock_in(const struct fsrv__sandbox_parts *sandbox, bool listens, struct fsrv__lock *ret_lock,
                  struct fsrv_error *error) {
        struct fsrv__lock lock = { .listener = -1,
                                   .apart = -1,
                                   .has_mounts = fsrv__sandbox_namespaces(sandbox) & CLONE_NEWNS,
                                   .drops_capabilities = sandbox->head.flags & FSRV_LOCK_NO_CAPABILITIES };
        struct fsrv__memory_use use;
        int r;

        fsrv__lock_measure(&use); /* while /proc is still there */
        if ((r = check_threads(error)) < 0 || (r = check_gaps(sandbox, error)) < 0 ||
            (r = fsrv__namespaces_make(sandbox, &lock.drops_capabilities, error)) < 0 ||
            (r = fsrv__mounts_make(sandbox, error)) < 0 || (r = set_process_flags(sandbox, error)) < 0 ||
            (r = make_apart(sandbox, &lock, error)) < 0 || (r = fsrv__landlock_enter(sandbox, error)) < 0)
                goto fail;
        if ((r = fsrv__lock_set_limits(sandbox, &use, &lock.limits, error)) < 0 ||
            (r = drop_capabilities(&lock, error)) < 0 || (r = install_filters(sandbox, listens, &lock, error)) < 0)
                goto fail;
        for (int i = 0; i < FSRV_SANDBOX_LIMITS; i++)
                lock.limit[i] = sandbox->head.limit[i];
        *ret_lock = lock;
        return 0;
fail:
        fsrv__fd_close(lock.apart);
        fsrv__fd_close(lock.listener);
        return r;
}

/* What a worker could spawn by, or write to, outside. */
static void close_ways_out(uint32_t flags) {
        struct fsrv__inherited *inherited = &fsrv__inherited;

        if (!inherited->is_worker)
                return;
        if (!(flags & FSRV_LOCK_SPAWNS))
                inherited->doorbell = fsrv__fd_close(inherited->doorbell);
        inherited->lifeline = fsrv__fd_close(inherited->lifeline);
        inherited->tracker = fsrv__fd_close(inherited->tracker);
}

static int lock_caller(const struct fsrv__sandbox_parts *parts, struct fsrv_error *error) {
        struct fsrv__lock lock;
        int r = fsrv__lock_in(parts, false, &lock, error);

        if (r < 0)
                return r;
        r = fsrv__lock_apart(&lock);
        fsrv__fd_close(lock.apart);
        if (r == 0)
                r = fsrv__lock_finish(&lock);
        if (r == 0 && lock.limits >> RLIMIT_NOFILE & 1)
                r = fsrv__lock_lower_limit(RLIMIT_NOFILE, lock.limit[RLIMIT_NOFILE]);
        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, -r, "locking in");
        close_ways_out(parts->head.flags);
        return 0;
}

int fsrv_worker_lock(const struct fsrv_sandbox *sandbox, struct fsrv_error *error) {
        const struct fsrv__sealed *sealed = (const void *)sandbox;
        struct fsrv__sandbox_parts parts;

        if (!sealed->bytes)
                return fsrv__fail_text(error, FSRV_STAGE_SANDBOX, EINVAL, "the sandbox is not sealed");
        int r = fsrv__sandbox_decode(sealed->bytes, sealed->size, &parts);
        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, -r, "the sandbox");
        r = lock_caller(&parts, error);
        fsrv__sandbox_parts_done(&parts);
        return r;
}
