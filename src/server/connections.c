/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "server/server.h"

/* Admin connections: a private server's client has one from the start; a named server's come by its listener, say what
 * they want, get it and leave. */

enum { PEERS_MAX = 128 };

void fsrv__peer_close(struct fsrv__server *s, struct fsrv__peer **link) {
        struct fsrv__peer *peer = *link;

        *link = peer->next;
        fsrv__unwatch(s, peer->fd); /* another server may have it, too */
        fsrv__fd_close(peer->fd);
        free(peer);
        s->n_peers--;
}

/* The longest silent one makes room: the last of the list that has a deadline at all. */
static void close_oldest(struct fsrv__server *s) {
        struct fsrv__peer **oldest = NULL;

        for (struct fsrv__peer **link = &s->peers; *link; link = &(*link)->next)
                if ((*link)->deadline != FSRV_NEVER)
                        oldest = link;
        if (oldest)
                fsrv__peer_close(s, oldest);
}

int fsrv__peer_add(struct fsrv__server *s, int fd, uid_t uid, int64_t deadline) {
        struct fsrv__peer *peer = malloc(sizeof *peer);

        if (s->n_peers >= PEERS_MAX)
                close_oldest(s);
        if (!peer || fsrv__watch(s, fd, EPOLLIN, FSRV_SOURCE_PEER, (uint32_t)fd) < 0) {
                free(peer);
                fsrv__fd_close(fd);
                return -ENOMEM;
        }
        *peer = (struct fsrv__peer){ .fd = fd, .uid = uid, .deadline = deadline, .next = s->peers };
        s->peers = peer;
        s->n_peers++;
        return 0;
}

void fsrv__peer_reply(int fd, int err, uint32_t stage, const char *text, const int *fds, size_t n_fds) {
        struct fsrv__wire_reply reply = {
                .version = FSRV_WIRE_VERSION, .err = err, .stage = stage, .server_pid = getpid()
        };

        snprintf(reply.text, sizeof reply.text, "%s", text);
        fsrv__channel_send(fd, &reply, sizeof reply, fds, n_fds, MSG_DONTWAIT);
}

void fsrv__peers_close_others(struct fsrv__server *s, const struct fsrv__peer *peer) {
        for (struct fsrv__peer **link = &s->peers; *link;)
                if (*link != peer && (*link)->deadline != FSRV_NEVER)
                        fsrv__peer_close(s, link);
                else
                        link = &(*link)->next;
}

void fsrv__peers_on_time(struct fsrv__server *s, int64_t now) {
        for (struct fsrv__peer **link = &s->peers; *link;)
                if ((*link)->deadline <= now)
                        fsrv__peer_close(s, link);
                else
                        link = &(*link)->next;
}
