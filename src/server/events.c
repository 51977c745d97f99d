/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "server/server.h"
#include <errno.h>

static struct epoll_event event_of(uint32_t events, enum fsrv__source source, uint32_t id) {
        return (struct epoll_event){ .events = events, .data.u64 = (uint64_t)source << 32 | id };
}

int fsrv__watch(struct fsrv__server *s, int fd, uint32_t events, enum fsrv__source source, uint32_t id) {
        struct epoll_event event = event_of(events, source, id);

        return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void fsrv__rewatch(struct fsrv__server *s, int fd, uint32_t events, enum fsrv__source source, uint32_t id) {
        struct epoll_event event = event_of(events, source, id);

        epoll_ctl(s->epoll, EPOLL_CTL_MOD, fd, &event);
}

void fsrv__unwatch(struct fsrv__server *s, int fd) {
        epoll_ctl(s->epoll, EPOLL_CTL_DEL, fd, NULL);
}
