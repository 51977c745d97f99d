/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker/apart.h"

#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/call.h"
#include "base/syscall_numbers.h"
#include "worker/lock.h"

/* To drop a capability doesn't make a process undumpable, which to get one does. What can't be inherited isn't ambient
 * either. */
int fsrv__lock_keep_capabilities(uint32_t kept) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = { { 0 } };
        long r = fsrv__call(SYS_capget, &header, data);

        if (r < 0)
                return (int)r;
        for (int i = 0; i < 2; i++) {
                data[i].permitted &= i == 0 ? kept : 0;
                data[i].effective &= data[i].permitted;
                data[i].inheritable = 0;
        }
        r = fsrv__call(SYS_capset, &header, data);
        return r < 0 ? (int)r : data[0].permitted != 0;
}

int fsrv__lock_lower_limit(int resource, uint64_t value) {
        struct rlimit64 limit;
        long r = fsrv__call(SYS_prlimit64, 0, resource, NULL, &limit);

        if (r < 0)
                return (int)r;
        /* At the hard limit of processor time SIGKILL comes, which says nothing; SIGXCPU comes a second earlier. */
        uint64_t hard = resource == RLIMIT_CPU && value < UINT64_MAX ? value + 1 : value;
        if (limit.rlim_cur <= value && limit.rlim_max <= hard)
                return 0;
        limit.rlim_max = limit.rlim_max < hard ? limit.rlim_max : hard;
        limit.rlim_cur = limit.rlim_cur < value ? limit.rlim_cur : value;
        return (int)fsrv__call(SYS_prlimit64, 0, resource, &limit, NULL);
}

static long install_late(const struct fsrv__lock *lock) {
        struct sock_filter filter[FSRV_FILTER_LATE_ROOM];
        const struct sock_fprog program = { .len = (unsigned short)lock->n_late, .filter = filter };

        for (int i = 0; i < lock->n_late; i++)
                filter[i] = lock->late[i];
        if (lock->late_pid >= 0)
                filter[lock->late_pid].k = (uint32_t)fsrv__call(SYS_getpid);
        return fsrv__call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

int fsrv__lock_apart(const struct fsrv__lock *lock) {
        long r = lock->apart >= 0 ? fsrv__call(SYS_landlock_restrict_self, lock->apart, 0) : 0;

        for (int i = 0; i < FSRV_SANDBOX_LIMITS && r == 0; i++)
                if (lock->limits >> i & 1 && i != RLIMIT_NOFILE) /* fsrv__limits_end() */
                        r = fsrv__lock_lower_limit(i, lock->limit[i]);
        if (r == 0 && lock->n_late > 0)
                r = install_late(lock);
        return (int)r;
}

int fsrv__lock_finish(const struct fsrv__lock *lock) {
        const struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        const struct __user_cap_data_struct none[2] = { { 0 } };

        return lock->drops_capabilities ? (int)fsrv__call(SYS_capset, &header, none) : 0;
}
