/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/locks.h"

static int fail_step(struct fsrv_error *error, int err, const char *what) {
        return fsrv__fail(error, FSRV_STAGE_SANDBOX, err, "%s", what);
}

static int write_file(const char *path, const char *text) {
        FSRV_CLEANUP_FD int fd = fsrv__open(path, O_WRONLY);

        if (fd < 0)
                return fd;
        return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* The ids stay what they are. Without privileges outside no other id can be had, and setgroups(2) has to go. */
static int map_ids(uid_t uid, gid_t gid, struct fsrv_error *error) {
        char text[64];

        int r = write_file("/proc/self/setgroups", "deny");
        if (r < 0)
                return fail_step(error, -r, "a user namespace: /proc/self/setgroups");
        snprintf(text, sizeof text, "%u %u 1", (unsigned)uid, (unsigned)uid);
        if ((r = write_file("/proc/self/uid_map", text)) < 0)
                return fail_step(error, -r, "a user namespace: /proc/self/uid_map");
        snprintf(text, sizeof text, "%u %u 1", (unsigned)gid, (unsigned)gid);
        if ((r = write_file("/proc/self/gid_map", text)) < 0)
                return fail_step(error, -r, "a user namespace: /proc/self/gid_map");
        return 0;
}

static int make_user(struct fsrv_error *error) {
        uid_t uid = geteuid();
        gid_t gid = getegid();

        if (fsrv__namespaces_are_forbidden || unshare(CLONE_NEWUSER) < 0)
                return fail_step(error, fsrv__namespaces_are_forbidden ? EPERM : errno,
                                 "a user namespace, which the sandbox's namespaces and mounts take without privileges");
        /* The maps belong to root as long as the process is undumpable, as one is that has changed its ids. */
        int dumpable = prctl(PR_GET_DUMPABLE);
        if (dumpable != 1)
                prctl(PR_SET_DUMPABLE, 1);
        int r = map_ids(uid, gid, error);
        if (dumpable != 1)
                prctl(PR_SET_DUMPABLE, 0);
        return r;
}

static int raise_loopback(struct fsrv_error *error) {
        struct ifreq request = { .ifr_name = "lo" };
        FSRV_CLEANUP_FD int sock = fsrv__fd_raise(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

        request.ifr_flags = IFF_UP;
        if (sock < 0 || ioctl(sock, SIOCSIFFLAGS, &request) < 0)
                return fail_step(error, errno, "the loopback of a network namespace");
        return 0;
}

static const struct {
        int flag;
        const char *what;
} kinds[] = {
        { CLONE_NEWNS, "a mount namespace" },      { CLONE_NEWNET, "a network namespace" },
        { CLONE_NEWIPC, "an IPC namespace" },      { CLONE_NEWUTS, "a UTS namespace" },
        { CLONE_NEWCGROUP, "a cgroup namespace" },
};

int fsrv__namespaces_make(const struct fsrv__sandbox_parts *sandbox, bool *drops_capabilities,
                          struct fsrv_error *error) {
        int wanted = fsrv__sandbox_namespaces(sandbox), r = 0;

        if (wanted == 0)
                return 0;
        if (wanted & CLONE_NEWUSER || !fsrv__has_capability(CAP_SYS_ADMIN)) {
                r = make_user(error);
                *drops_capabilities = true; /* it has them all there, and could take the mounts away again */
        }
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds && r == 0; i++)
                if (wanted & kinds[i].flag && unshare(kinds[i].flag) < 0)
                        r = fail_step(error, errno, kinds[i].what);
        if (r == 0 && wanted & CLONE_NEWNET)
                r = raise_loopback(error);
        return r;
}
