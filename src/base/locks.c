/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/locks.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/call.h"
#include "base/syscall_numbers.h"

int fsrv__landlock_abi_most = -1;
bool fsrv__seccomp_is_missing, fsrv__namespaces_are_forbidden;

/* ---- landlock ---- */

enum { LANDLOCK_CREATE_RULESET_VERSION = 1 };

int fsrv__landlock_abi(void) {
        int most = fsrv__landlock_abi_most;
        long abi = fsrv__call(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

        if (abi < 0)
                return 0; /* ENOSYS: the kernel has none; EOPNOTSUPP: it is not switched on */
        return most >= 0 && abi > most ? most : (int)abi;
}

int fsrv__landlock_new(int abi, const struct fsrv__landlock_handled *handled) {
        size_t size = sizeof *handled;

        if (abi < 6)
                size = offsetof(struct fsrv__landlock_handled, scopes);
        if (abi < 4)
                size = offsetof(struct fsrv__landlock_handled, net);
        return (int)fsrv__call(SYS_landlock_create_ruleset, handled, size, 0);
}

/* ---- filters ---- */

bool fsrv__seccomp_knows_calls(void) {
        return fsrv__seccomp_is_there() && FSRV_AUDIT_ARCHITECTURE != 0;
}

/* It fails with EFAULT, and installs nothing, where filters can be had. */
bool fsrv__seccomp_is_there(void) {
        return !fsrv__seccomp_is_missing && fsrv__call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) == -EFAULT;
}

/* ---- namespaces ---- */

bool fsrv__has_capability(int capability) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = { { 0 } };

        if (fsrv__call(SYS_capget, &header, data) < 0)
                return false;
        return data[capability / 32].effective >> capability % 32 & 1;
}

/* Some systems give a user namespace, and nothing may be done in it. */
static int try_mount(void *result) {
        *(volatile long *)result = fsrv__call(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
        return 0;
}

/* As vfork(2), so that a large process is not copied; with no signal at its end, so that no handler and no other wait
 * sees it. */
static int try_namespaces(int namespaces) {
        char stack[16 << 10] __attribute__((aligned(64)));
        volatile long result = -EPERM;
        sigset_t all, before;

        sigfillset(&all); /* no handler of the caller's is to run in the child */
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pid_t pid = clone(try_mount, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_NEWNS | namespaces,
                          (void *)&result);
        int err = errno;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (pid < 0)
                return -err;
        while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
                ;
        return (int)result;
}

int fsrv__namespaces_check(int namespaces, bool *ret_user) {
        bool user = namespaces & CLONE_NEWUSER || !fsrv__has_capability(CAP_SYS_ADMIN);

        *ret_user = user;
        if (user && fsrv__namespaces_are_forbidden)
                return -EPERM;
        return try_namespaces(user ? namespaces | CLONE_NEWUSER : namespaces);
}
