/* SPDX-License-Identifier: MIT */
/* Getting more than the sandbox left: ids, capabilities, limits; and taking the sandbox off. */
#define _GNU_SOURCE
#include "escapes.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self  446
#endif

static int become_another_now(void) {
        return from(syscall(SYS_setresuid, 12345, 12345, 12345));
}

static int become_another(void) {
        return in_child(become_another_now);
}

static int become_root_now(void) {
        return from(syscall(SYS_setresuid, 0, 0, 0));
}

static int become_root(void) {
        return getuid() == 0 ? not_here("this is root") : in_child(become_root_now);
}

static int change_groups_now(void) {
        gid_t group = 0;

        return from(syscall(SYS_setgroups, 1, &group));
}

static int change_groups(void) {
        return in_child(change_groups_now);
}

static int file_user_now(void) {
        syscall(SYS_setfsuid, 12345);
        return syscall(SYS_setfsuid, -1) == 12345 ? 0 : -EPERM;
}

static int file_user(void) {
        return in_child(file_user_now);
}

static int raise_capabilities(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = { { ~0u, ~0u, 0 }, { (1u << 9) - 1, (1u << 9) - 1, 0 } };

        return from(syscall(SYS_capset, &header, data));
}

static int have_capabilities(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2];

        if (syscall(SYS_capget, &header, data) < 0)
                return -errno;
        return data[0].permitted | data[1].permitted ? 0 : -EPERM;
}

static int raise_limit(int resource) {
        struct rlimit old, wanted;

        if (getrlimit((__rlimit_resource_t)resource, &old) < 0)
                return -errno;
        if (old.rlim_max == RLIM_INFINITY)
                return 0; /* there is nothing to raise */
        wanted = (struct rlimit){ .rlim_cur = old.rlim_max + 1, .rlim_max = old.rlim_max + 1 };
        return from(setrlimit((__rlimit_resource_t)resource, &wanted));
}

static int raise_files_limit(void) {
        return raise_limit(RLIMIT_NOFILE);
}

static int raise_core_limit(void) {
        return raise_limit(RLIMIT_CORE);
}

static int raise_memory_limit(void) {
        return raise_limit(RLIMIT_AS);
}

static int raise_cpu_limit(void) {
        return raise_limit(RLIMIT_CPU);
}

static int raise_file_size_limit(void) {
        return raise_limit(RLIMIT_FSIZE);
}

static int take_priority(void) {
        int r = from(setpriority(PRIO_PROCESS, 0, -20));

        if (r == 0)
                setpriority(PRIO_PROCESS, 0, 0);
        return r;
}

static int take_realtime(void) {
        struct sched_param first = { .sched_priority = 1 }, none = { 0 };
        int r = from(sched_setscheduler(0, SCHED_FIFO, &first));

        if (r == 0)
                sched_setscheduler(0, SCHED_OTHER, &none);
        return r;
}

static int take_new_privileges(void) {
        int r = prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0);

        return r == 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 ? 0 : -EPERM;
}

/* What tools see as our program, where our code and arguments are. */
static int change_memory_map(void) {
        return let_through(prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, -1, 0, 0));
}

/* ---- taking it off ---- */

static struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };

static int allow_all_then_open(void) {
        struct sock_fprog program = { .len = 1, .filter = allow };

        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
                return -errno;
        return open_secret();
}

static int allow_all(void) {
        return in_child(allow_all_then_open);
}

static int allow_all_by_prctl_then_open(void) {
        struct sock_fprog program = { .len = 1, .filter = allow };

        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
                return -errno;
        return open_secret();
}

static int allow_all_by_prctl(void) {
        return in_child(allow_all_by_prctl_then_open);
}

static int disable_filter_then_open(void) {
        if (prctl(PR_SET_SECCOMP, 0 /* SECCOMP_MODE_DISABLED */, NULL, 0, 0) < 0 && errno != EINVAL)
                return -errno;
        return open_secret();
}

static int disable_filter(void) {
        return in_child(disable_filter_then_open);
}

/* A layer that handles nothing forbids nothing; layers only add up. */
static int landlock_again_then_open(void) {
        struct {
                uint64_t files, net, scoped;
        } ruleset = { .scoped = 1 };
        long fd = syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);

        if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
                return -errno;
        return open_secret();
}

static int landlock_again(void) {
        return in_child(landlock_again_then_open);
}

static void *continue_all(void *data) {
        int listener = *(int *)data;
        struct seccomp_notif call;

        for (;;) {
                memset(&call, 0, sizeof call);
                if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
                        return NULL;
                struct seccomp_notif_resp answer = { .id = call.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
                ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
        }
}

/* Of two filters that both ask a listener the newest one's is asked, and ours lets everything through. The kernel
 * allows no second listener, as long as the first is there. socket(2) is what only a filter forbids. */
static int listen_and_make_socket(void) {
        struct sock_filter ask[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { .len = 4, .filter = ask };
        pthread_t thread;

        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
        if (listener < 0)
                return -errno;
        if (pthread_create(&thread, NULL, continue_all, &listener) != 0)
                return -EAGAIN;
        return from(syscall(SYS_socket, 1 /* AF_UNIX */, 1 /* SOCK_STREAM */, 0));
}

static int own_listener(void) {
        return in_child(listen_and_make_socket);
}

/* Alone it does nothing; what else it may do is above. */
static int new_listener(void) {
        struct sock_fprog program = { .len = 1, .filter = allow };
        long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);

        if (fd >= 0)
                close((int)fd);
        return fd < 0 && errno == EBUSY ? -EBUSY : let_through(fd);
}

const struct attempt privilege_attempts[] = {
        { "become_another", become_another },
        { "become_root", become_root },
        { "change_groups", change_groups },
        { "file_user", file_user },
        { "raise_capabilities", raise_capabilities },
        { "have_capabilities", have_capabilities },
        { "raise_files_limit", raise_files_limit },
        { "raise_core_limit", raise_core_limit },
        { "raise_memory_limit", raise_memory_limit },
        { "raise_cpu_limit", raise_cpu_limit },
        { "raise_file_size_limit", raise_file_size_limit },
        { "take_priority", take_priority },
        { "take_realtime", take_realtime },
        { "take_new_privileges", take_new_privileges },
        { "change_memory_map", change_memory_map },
        { "allow_all", allow_all },
        { "allow_all_by_prctl", allow_all_by_prctl },
        { "disable_filter", disable_filter },
        { "landlock_again", landlock_again },
        { "own_listener", own_listener },
        { "new_listener", new_listener },
        { NULL, NULL },
};
