/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/linux.h"
#include "forkserver.h"
#include "server/server.h"

static uint32_t role_of(const struct fsrv__child *child) {
        switch (child->role) {
        case FSRV_ROLE_STANDBY:
                return FSRV_PROCESS_STANDBY;
        case FSRV_ROLE_WORKER:
                return FSRV_PROCESS_WORKER;
        case FSRV_ROLE_HEIR:
                return FSRV_PROCESS_HEIR;
        default:
                return FSRV_PROCESS_OTHER;
        }
}

static struct fsrv__wire_listed describe_child(const struct fsrv__child *child, int64_t now) {
        struct fsrv__wire_listed listed = { .pid = child->pid, .role = role_of(child), .left_ms = UINT64_MAX };

        if (child->zygote) {
                listed.zygote = child->zygote->id;
                listed.is_locked = fsrv__zygote_is_locked(child->zygote);
        }
        if (child->role != FSRV_ROLE_WORKER) {
                listed.age_ms = child->since ? (uint64_t)(now - child->since) : 0;
                return listed;
        }
        listed.age_ms = (uint64_t)now - child->claimed_us / 1000;
        listed.client = child->client;
        listed.uid = child->uid;
        if (child->deadline != FSRV_NEVER)
                listed.left_ms = child->deadline > now ? (uint64_t)(child->deadline - now) : 0;
        return listed;
}

static struct fsrv__wire_listed describe_zygote(const struct fsrv__zygote *z, int64_t now) {
        return (struct fsrv__wire_listed){ .pid = z->pid,
                                           .role = FSRV_PROCESS_ZYGOTE,
                                           .left_ms = UINT64_MAX,
                                           .age_ms = z->since ? (uint64_t)(now - z->since) : 0,
                                           .zygote = z->id,
                                           .is_locked = fsrv__zygote_is_locked(z) };
}

/* A sealed memfd or -errno. */
int fsrv__listing_make(const struct fsrv__server *s) {
        size_t n = HASH_COUNT(s->children);
        struct fsrv__child *child, *next;
        int64_t now = fsrv__now();

        for (const struct fsrv__zygote *z = s->zygotes; z; z = z->next)
                n++;
        struct fsrv__wire_listed *list = calloc(n, sizeof *list);
        if (!list)
                return -ENOMEM;
        n = 0;
        for (const struct fsrv__zygote *z = s->zygotes; z; z = z->next)
                if (z->pid > 0)
                        list[n++] = describe_zygote(z, now);
        HASH_ITER(hh, s->children, child, next)
                list[n++] = describe_child(child, now);
        int fd = fsrv__sealed_memfd("forkserver list", list, n * sizeof *list);
        free(list);
        return fd;
}
