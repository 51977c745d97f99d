/* SPDX-License-Identifier: MIT */
/* Namespaces and mounts. Each is tried in a child, which alone changes; where none can be made, in this process. */
#define _GNU_SOURCE
#include "escapes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int flags_to_unshare;

static int unshare_now(void) {
        return from(unshare(flags_to_unshare));
}

static int unshare_in_child(int flags) {
        flags_to_unshare = flags;
        return in_child(unshare_now);
}

/* A child with these flags, which ends at once. */
static int clone_with(unsigned long flags) {
        long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);

        if (pid == 0)
                syscall(SYS_exit, 0);
        if (pid < 0)
                return -errno;
        waitpid((pid_t)pid, NULL, 0);
        return 0;
}

static int clone3_with(uint64_t flags) {
        struct clone_args args = { .flags = flags, .exit_signal = SIGCHLD };
        long pid = syscall(SYS_clone3, &args, sizeof args);

        if (pid == 0)
                syscall(SYS_exit, 0);
        if (pid < 0)
                return -errno;
        waitpid((pid_t)pid, NULL, 0);
        return 0;
}

#define NAMESPACE(name, flag) \
        static int unshare_##name(void) { \
                return unshare_in_child(flag); \
        } \
        static int clone_##name(void) { \
                return clone_with(flag); \
        } \
        static int clone3_##name(void) { \
                return clone3_with(flag); \
        }

NAMESPACE(user, CLONE_NEWUSER)
NAMESPACE(mounts, CLONE_NEWNS)
NAMESPACE(pids, CLONE_NEWPID)
NAMESPACE(network, CLONE_NEWNET)
NAMESPACE(ipc, CLONE_NEWIPC)
NAMESPACE(uts, CLONE_NEWUTS)
NAMESPACE(cgroup, CLONE_NEWCGROUP)

static int unshare_time(void) {
        return unshare_in_child(CLONE_NEWTIME);
}

static int clone3_time(void) {
        return clone3_with(CLONE_NEWTIME);
}

static int unshare_all(void) {
        return unshare_in_child(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID);
}

/* clone(2) looks at 32 bits of its flags. */
static int clone_user_high_bits(void) {
        return clone_with(CLONE_NEWUSER | 1UL << 40);
}

static int unshare_user_high_bits(void) {
        return let_through(syscall(SYS_unshare, 1UL << 40 | CLONE_NEWUSER));
}

static int join(const char *name) {
        char path[64];
        int fd, r;

        snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)target(), name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        r = from(setns(fd, 0));
        if (fd >= 0)
                close(fd);
        return r;
}

static int join_network(void) {
        return join("net");
}

static int join_uts(void) {
        return join("uts");
}

static int join_by_pidfd(void) {
        int fd = (int)syscall(SYS_pidfd_open, target(), 0), r;

        if (fd < 0)
                return -errno;
        r = from(setns(fd, CLONE_NEWNET | CLONE_NEWIPC));
        close(fd);
        return r;
}

static int setns_nothing(void) {
        return let_through(setns(-1, 0));
}

static int mount_bind(void) {
        return let_through(mount("/nonexistent", "/nonexistent", NULL, MS_BIND, NULL));
}

static int remount_root(void) {
        return let_through(mount(NULL, "/nonexistent", NULL, MS_REMOUNT | MS_BIND, NULL));
}

static int unmount(void) {
        return let_through(umount2("/nonexistent", MNT_DETACH));
}

static int open_file_system(void) {
        long fd = syscall(428 + 2 /* fsopen */, "tmpfs", 0);

        if (fd >= 0)
                close((int)fd);
        return let_through(fd);
}

static int clone_tree(void) {
        long fd = syscall(428 /* open_tree */, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC);

        if (fd >= 0)
                close((int)fd);
        return let_through(fd);
}

static int move_mount_nothing(void) {
        return let_through(syscall(429, -1, "", -1, "", 4));
}

static int mount_nothing(void) {
        return let_through(syscall(432 /* fsmount */, -1, 0, 0));
}

static int configure_nothing(void) {
        return let_through(syscall(431 /* fsconfig */, -1, 0, NULL, NULL, 0));
}

static int pick_file_system(void) {
        long fd = syscall(433 /* fspick */, AT_FDCWD, "/", 0);

        if (fd >= 0)
                close((int)fd);
        return let_through(fd);
}

static int set_mount_attributes(void) {
        uint64_t attributes[4] = { 0 };

        return let_through(syscall(442, AT_FDCWD, "/nonexistent", 0, attributes, sizeof attributes));
}

static int change_root_now(void) {
        return from(chroot("/usr"));
}

static int change_root(void) {
        return in_child(change_root_now);
}

static int pivot(void) {
        return let_through(syscall(SYS_pivot_root, "/nonexistent", "/nonexistent"));
}

#define ENTRIES(name) \
        { "unshare_" #name, unshare_##name }, { "clone_" #name, clone_##name }, { \
                "clone3_" #name, clone3_##name \
        }

const struct attempt namespace_attempts[] = {
        ENTRIES(user),
        ENTRIES(mounts),
        ENTRIES(pids),
        ENTRIES(network),
        ENTRIES(ipc),
        ENTRIES(uts),
        ENTRIES(cgroup),
        { "unshare_time", unshare_time },
        { "clone3_time", clone3_time },
        { "unshare_all", unshare_all },
        { "clone_user_high_bits", clone_user_high_bits },
        { "unshare_user_high_bits", unshare_user_high_bits },
        { "join_network", join_network },
        { "join_uts", join_uts },
        { "join_by_pidfd", join_by_pidfd },
        { "setns_nothing", setns_nothing },
        { "mount_bind", mount_bind },
        { "remount_root", remount_root },
        { "unmount", unmount },
        { "open_file_system", open_file_system },
        { "clone_tree", clone_tree },
        { "move_mount_nothing", move_mount_nothing },
        { "mount_nothing", mount_nothing },
        { "configure_nothing", configure_nothing },
        { "pick_file_system", pick_file_system },
        { "set_mount_attributes", set_mount_attributes },
        { "change_root", change_root },
        { "pivot", pivot },
        { NULL, NULL },
};
