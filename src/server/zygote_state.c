/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "server/server.h"

enum { END_MS = 5000 }; /* for exit functions of modules */

static int set_zygote_up(struct fsrv__server *s, struct fsrv__zygote *z) {
        int on = 1, r = fsrv__socketpair(z->claims);

        if (r < 0)
                return r;
        if (setsockopt(z->claims[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
                return -errno;
        if ((r = fsrv__watch(s, z->claims[0], EPOLLIN, FSRV_SOURCE_CLAIMS, z->id)) < 0)
                return r;
        return fsrv__watch(s, z->doorbell, 0, FSRV_SOURCE_DOORBELL, z->id); /* its hang-up is always reported */
}

static void free_zygote(struct fsrv__server *s, struct fsrv__zygote *z) {
        int *const fds[] = { &z->doorbell, &z->doorbell_send, &z->claims[0], &z->claims[1], &z->sandbox };

        fsrv__unwatch(s, z->doorbell);
        fsrv__unwatch(s, z->claims[0]);
        for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
                fsrv__fd_close(*fds[i]);
        free(z);
}

int fsrv__zygote_add(struct fsrv__server *s, int doorbell, int doorbell_send, int sandbox) {
        struct fsrv__zygote *z = calloc(1, sizeof *z), **end = &s->zygotes;

        if (!z) {
                fsrv__fds_close((int[]){ doorbell, doorbell_send, sandbox }, 3);
                return -ENOMEM;
        }
        z->id = s->last_zygote++;
        z->doorbell = doorbell;
        z->doorbell_send = doorbell_send;
        z->sandbox = sandbox;
        z->pidfd = z->orders = z->claims[0] = z->claims[1] = -1;
        z->deadline = FSRV_NEVER;
        int r = set_zygote_up(s, z);
        if (r < 0) {
                free_zygote(s, z);
                return r;
        }
        while (*end)
                end = &(*end)->next;
        *end = z;
        return 0;
}

bool fsrv__zygote_is_locked(const struct fsrv__zygote *z) {
        return z->sandbox >= 0;
}

bool fsrv__zygote_serves(const struct fsrv__server *s, const struct fsrv__zygote *z) {
        return z != s->next && !z->is_gone;
}

bool fsrv__zygote_is_unwanted(const struct fsrv__zygote *z) {
        return z->is_gone || (fsrv__zygote_is_locked(z) && z->is_deserted);
}

/* Its standbys read the end of the doorbell, and end. Its workers go on. */
void fsrv__zygotes_sweep(struct fsrv__server *s) {
        struct fsrv__child *child, *next;

        for (struct fsrv__zygote **link = &s->zygotes; *link;) {
                struct fsrv__zygote *z = *link;

                if (!fsrv__zygote_is_unwanted(z) || z->orders >= 0 || z->pid != 0 || z->idle > 0) {
                        link = &z->next;
                        continue;
                }
                HASH_ITER(hh, s->children, child, next)
                        if (child->zygote == z)
                                child->zygote = NULL;
                *link = z->next;
                free_zygote(s, z);
        }
}

bool fsrv__zygote_is_starting(const struct fsrv__zygote *z) {
        return z->state == FSRV_ZYGOTE_ORDERED || z->state == FSRV_ZYGOTE_LOADING || z->state == FSRV_ZYGOTE_FREEZING;
}

static int64_t deadline_of(const struct fsrv__server *s, const struct fsrv__zygote *z) {
        switch (z->state) {
        case FSRV_ZYGOTE_ORDERED:
        case FSRV_ZYGOTE_LOADING:
                return fsrv__deadline(s->config.head.preload_timeout_ms);
        case FSRV_ZYGOTE_FREEZING:
                return z->deadline;
        case FSRV_ZYGOTE_READY:
                return z->due > 0 ? fsrv__now() + fsrv__fork_limit(s) : FSRV_NEVER;
        case FSRV_ZYGOTE_SLOW: /* it may have been stopped together with us */
                return fsrv__now() + fsrv__fork_limit(s) / 2 + 1;
        case FSRV_ZYGOTE_ENDING:
                return fsrv__deadline(END_MS);
        default:
                return FSRV_NEVER;
        }
}

void fsrv__zygote_become(const struct fsrv__server *s, struct fsrv__zygote *z, enum fsrv__zygote_state state) {
        z->state = state;
        z->deadline = deadline_of(s, z);
}

void fsrv__zygote_kill(const struct fsrv__server *s, struct fsrv__zygote *z) {
        if (z->pid > 0)
                kill(z->pid, SIGKILL); /* our own child, not reaped yet */
        fsrv__zygote_become(s, z, FSRV_ZYGOTE_KILLED);
}

void fsrv__zygote_blame(const struct fsrv__server *s, struct fsrv__zygote *z, struct fsrv__failure_of failure) {
        if (z->failure.stage == 0)
                z->failure = fsrv__failure_describe(s, z, failure);
}
