/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "server/server.h"
#include "wire/messages.h"

/* One is forked at a time. While there is an heir, the first zygote may soon be another one, which has loaded more. */
bool fsrv__locked_can_start(const struct fsrv__server *s) {
        const struct fsrv__zygote *first = s->zygotes;

        for (const struct fsrv__zygote *z = first->next; z; z = z->next)
                if (z->state == FSRV_ZYGOTE_ORDERED)
                        return false;
        return first->state == FSRV_ZYGOTE_READY && !fsrv__heir_of(s, first);
}

static int fail_start(const struct fsrv__server *s, struct fsrv__zygote *z, int r, const char *what) {
        fsrv__zygote_blame(s, z, (struct fsrv__failure_of){ FSRV_FAILURE_START, -r, what, NULL });
        return r;
}

int fsrv__locked_start(struct fsrv__server *s, struct fsrv__zygote *z) {
        const struct fsrv__wire_order order = { .type = FSRV_WIRE_FORK_ZYGOTE };
        int boot[2], fds[FSRV_SLOTS], slots[FSRV_SLOTS] = FSRV_NO_FDS, r = fsrv__socketpair(boot);

        if (r < 0)
                return fail_start(s, z, r, "a socket pair");
        slots[FSRV_SLOT_ORDERS] = boot[1];
        slots[FSRV_SLOT_BODY] = z->sandbox;
        size_t n = fsrv__message_pack(FSRV_TABLE_TO_ZYGOTE, &order, slots, NULL, fds);
        r = fsrv__channel_send(s->zygotes->orders, &order, offsetof(struct fsrv__wire_order, text), fds, n,
                               MSG_DONTWAIT);
        fsrv__fd_close(boot[1]);
        if (r == 0)
                r = fsrv__watch(s, boot[0], EPOLLIN, FSRV_SOURCE_ORDERS, z->id);
        if (r < 0) {
                fsrv__fd_close(boot[0]);
                return fail_start(s, z, r, "its first socket");
        }
        z->orders = boot[0];
        return 0;
}

/* A look through the children may have taken it for a standby. */
int fsrv__locked_on_born(struct fsrv__server *s, struct fsrv__zygote *z, pid_t pid) {
        int pidfd = fsrv__child_release(s, pid);

        if (pidfd < 0)
                pidfd = fsrv__pidfd_open(pid);
        if (pidfd < 0)
                return pidfd;
        int r = s->is_reaper || fsrv__is_child(pidfd) ? 0 : -ECHILD;
        if (r == 0)
                r = fsrv__watch(s, pidfd, EPOLLIN, FSRV_SOURCE_DEATH, (uint32_t)pid);
        if (r < 0) {
                fsrv__fd_close(pidfd);
                return r;
        }
        z->pid = pid;
        z->pidfd = pidfd;
        return 0;
}
