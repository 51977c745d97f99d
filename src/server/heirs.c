/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "base/fd.h"
#include "server/server.h"

const struct fsrv__child *fsrv__heir_of(const struct fsrv__server *s, const struct fsrv__zygote *z) {
        const struct fsrv__child *child = z->heir ? fsrv__child_find(s, z->heir) : NULL;

        return child && child->role == FSRV_ROLE_HEIR ? child : NULL;
}

int fsrv__become_reaper(struct fsrv__server *s) {
        if (s->is_reaper)
                return 0;
        if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                return -errno;
        s->is_reaper = true;
        return fsrv__signals_take_children(s);
}

void fsrv__heir_allow(struct fsrv__server *s, struct fsrv__zygote *z, bool forks_twice) {
        const struct fsrv__wire_order order = { .type = FSRV_WIRE_FORK };

        if (forks_twice && fsrv__become_reaper(s) < 0)
                fsrv__zygote_kill(s, z);
        else
                fsrv__channel_send(z->orders, &order, offsetof(struct fsrv__wire_order, text), NULL, 0, MSG_DONTWAIT);
}

void fsrv__heir_on_born(struct fsrv__server *s, struct fsrv__zygote *z, pid_t pid) {
        fsrv__child_on_forked(s, z, pid, FSRV_ROLE_HEIR);
        z->heir = pid;
}

/* The old one tells it so next, and ends. */
void fsrv__heir_succeed(struct fsrv__server *s, struct fsrv__zygote *z) {
        const struct fsrv__child *heir = fsrv__heir_of(s, z);
        pid_t old = z->pid;

        if (!heir)
                return;
        z->pid = heir->pid;
        z->pidfd = fsrv__fd_close(z->pidfd);
        z->pidfd = fsrv__child_release(s, z->pid);
        fsrv__watch(s, z->pidfd, EPOLLIN, FSRV_SOURCE_DEATH, (uint32_t)z->pid);
        fsrv__child_add(s, z, old, FSRV_ROLE_RETIRED); /* or it has ended, and been reaped */
}

void fsrv__heir_on_left_out(const struct fsrv__server *s, struct fsrv__zygote *z, const char *why) {
        snprintf(z->left_out, sizeof z->left_out, "%s", why);
        fsrv__log(s, FSRV_WARNING, "each process loads a module by itself: %s", z->left_out);
}
