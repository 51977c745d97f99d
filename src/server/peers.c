/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/linux.h"
#include "forkserver.h"
#include "server/server.h"
#include "wire/messages.h"

/* Questions to the server about itself. */

static void count_processes(const struct fsrv__server *s, struct fsrv__wire_stats *stats) {
        struct fsrv__child *child, *next;

        stats->standbys = stats->trying = 0;
        for (const struct fsrv__zygote *z = s->zygotes; z; z = z->next) {
                stats->standbys += z->idle;
                stats->trying += fsrv__heir_of(s, z) != NULL;
        }
        stats->workers = HASH_COUNT(s->children) - stats->standbys - stats->trying;
        HASH_ITER(hh, s->children, child, next)
                stats->workers -= child->role == FSRV_ROLE_RETIRED; /* which ends */
}

void fsrv__stats_fill(const struct fsrv__server *s, struct fsrv__wire_stats *stats) {
        const struct fsrv__zygote *z = s->zygotes; /* the first one */

        *stats = s->stats;
        stats->reply = (struct fsrv__wire_reply){ .version = FSRV_WIRE_VERSION, .server_pid = getpid() };
        stats->zygote_pid = z->pid;
        stats->memory = z->memory;
        memcpy(stats->left_out, z->left_out, sizeof stats->left_out);
        count_processes(s, stats);
        stats->is_ready = z->state == FSRV_ZYGOTE_READY || z->state == FSRV_ZYGOTE_SLOW;
        snprintf(stats->failure, sizeof stats->failure, "%s",
                 z->refusal.until > 0 || z->state == FSRV_ZYGOTE_FAILED ? z->refusal.message.text : "");
        memcpy(stats->replaced, s->files.replaced, sizeof stats->replaced);
        stats->uptime_ms = (uint64_t)(fsrv__now() - s->started);
}

static void send_stats(const struct fsrv__server *s, int fd) {
        struct fsrv__wire_stats stats;

        fsrv__stats_fill(s, &stats);
        fsrv__channel_send(fd, &stats, sizeof stats, NULL, 0, MSG_DONTWAIT);
}

/* file: a memfd, or -errno. */
static void send_file(int fd, int file, const char *what) {
        char text[96];

        if (file >= 0) {
                fsrv__peer_reply(fd, 0, 0, "", &file, 1);
                fsrv__fd_close(file);
                return;
        }
        snprintf(text, sizeof text, "%s: %s", what, strerrordesc_np(-file));
        fsrv__peer_reply(fd, -file, FSRV_STAGE_ADMIN, text, NULL, 0);
}

static int write_metrics(const struct fsrv__server *s) {
        struct fsrv__wire_stats stats;
        size_t size;

        fsrv__stats_fill(s, &stats);
        char *text = fsrv__metrics_write(s, &stats, &size);
        int fd = text ? fsrv__sealed_memfd("forkserver metrics", text, size) : -ENOMEM;
        free(text);
        return fd;
}

static void give_doorbell(const struct fsrv__server *s, int fd) {
        const struct fsrv__zygote *z = s->zygotes; /* the one that there is */

        if (z->doorbell_send < 0 || s->draining)
                fsrv__peer_reply(fd, ECONNREFUSED, FSRV_STAGE_CONNECT, "the fork server is ending", NULL, 0);
        else
                fsrv__peer_reply(fd, 0, 0, "", &z->doorbell_send, 1);
}

static bool may_govern(const struct fsrv__peer *peer, const char *what) {
        char text[96];

        if (peer->uid == fsrv__euid() || peer->uid == 0)
                return true;
        snprintf(text, sizeof text, "only its own uid and root may %s a fork server", what);
        fsrv__peer_reply(peer->fd, EACCES, FSRV_STAGE_ADMIN, text, NULL, 0);
        return false;
}

static void stop_server(struct fsrv__server *s, struct fsrv__peer *peer) {
        if (!may_govern(peer, "stop"))
                return;
        peer->deadline = FSRV_NEVER; /* it hears our end as end-of-file */
        fsrv__peer_reply(peer->fd, 0, 0, "", NULL, 0);
        if (s->wish == FSRV_WISH_SERVE)
                s->wish = FSRV_WISH_DRAIN;
}

static void reload_server(struct fsrv__server *s, struct fsrv__peer *peer) {
        if (!may_govern(peer, "reload"))
                return;
        if (s->draining) {
                fsrv__peer_reply(peer->fd, ECONNREFUSED, FSRV_STAGE_ADMIN, "the fork server is ending", NULL, 0);
                return;
        }
        peer->reload = fsrv__reload_ask(s);
        peer->deadline = FSRV_NEVER; /* loading has a time limit */
}

static void give_sockets(struct fsrv__server *s, struct fsrv__peer *peer) {
        if (!may_govern(peer, "take over"))
                return;
        if (s->draining || s->listener < 0) {
                fsrv__peer_reply(peer->fd, ECONNREFUSED, FSRV_STAGE_ADMIN, "the fork server is ending", NULL, 0);
                return;
        }
        int r = fsrv__takeover_give(s, peer->fd);
        peer->has_sockets = r >= 0;
        if (r < 0)
                fsrv__log(s, FSRV_ERROR, "another server could not take over: %s", strerrordesc_np(-r));
}

static void let_succeed(struct fsrv__server *s, struct fsrv__peer *peer) {
        if (!peer->has_sockets || s->draining)
                fsrv__peer_reply(peer->fd, ECONNREFUSED, FSRV_STAGE_ADMIN, "this comes after TAKEOVER", NULL, 0);
        else if (fsrv__takeover_end(s, peer->fd) >= 0)
                fsrv__peers_close_others(s, peer);
}

void fsrv__peers_on_reload(struct fsrv__server *s) {
        const struct fsrv__wire_failed *failure = &s->reload_failure;

        for (struct fsrv__peer *peer = s->peers; peer; peer = peer->next) {
                if (peer->reload == 0 || peer->reload > s->reload_over)
                        continue;
                if (failure->stage)
                        fsrv__peer_reply(peer->fd, failure->err ? failure->err : EIO, failure->stage, failure->text,
                                         NULL, 0);
                else
                        fsrv__peer_reply(peer->fd, 0, 0, "", NULL, 0);
                peer->reload = 0;
                peer->deadline = fsrv__deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS);
        }
}

static void answer_question(struct fsrv__server *s, struct fsrv__peer *peer, uint32_t type, int socket) {
        switch (type) {
        case FSRV_WIRE_ADMIN_CONNECT:
                fsrv__peer_add(s, socket, peer->uid, fsrv__deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS));
                break;
        case FSRV_WIRE_ADMIN_ATTACH:
                give_doorbell(s, peer->fd);
                break;
        case FSRV_WIRE_ADMIN_STATS:
                send_stats(s, peer->fd);
                break;
        case FSRV_WIRE_ADMIN_STOP:
                stop_server(s, peer);
                break;
        case FSRV_WIRE_ADMIN_RELOAD:
                reload_server(s, peer);
                break;
        case FSRV_WIRE_ADMIN_TAKEOVER:
                give_sockets(s, peer);
                break;
        case FSRV_WIRE_ADMIN_SUCCEED:
                let_succeed(s, peer);
                break;
        case FSRV_WIRE_ADMIN_LIST:
                send_file(peer->fd, fsrv__listing_make(s), "the list of processes");
                break;
        case FSRV_WIRE_ADMIN_METRICS:
                send_file(peer->fd, write_metrics(s), "the counters as text");
                break;
        }
}

static void refuse_question(int fd, int err, uint32_t version) {
        char text[96];

        if (err == EPROTO) {
                fsrv__peer_reply(fd, err, FSRV_STAGE_ADMIN, "the fork server does not know this question", NULL, 0);
                return;
        }
        snprintf(text, sizeof text, "the client speaks protocol %#x, the fork server %#x", version, FSRV_WIRE_VERSION);
        fsrv__peer_reply(fd, err, FSRV_STAGE_VERSION, text, NULL, 0);
}

void fsrv__peer_on_message(struct fsrv__server *s, uint32_t fd) {
        struct fsrv__peer **link = &s->peers;
        struct fsrv__wire_admin admin = { 0 };
        struct fsrv__message message;
        int slots[FSRV_SLOTS];

        while (*link && (*link)->fd != (int)fd)
                link = &(*link)->next;
        if (!*link)
                return;
        int r = fsrv__channel_receive((int)fd, &admin, sizeof admin, MSG_DONTWAIT, &message);
        if (r == -EAGAIN)
                return;
        if (r == -EMFILE)
                fsrv__message_close(&message);
        if (r != 1) {
                fsrv__peer_close(s, link);
                return;
        }
        r = fsrv__message_unpack(FSRV_TABLE_ADMIN, &admin, &message, slots);
        if (r == 0) {
                answer_question(s, *link, admin.type, slots[FSRV_SLOT_SOCKET]);
                return;
        }
        s->stats.malformed++;
        refuse_question((int)fd, -r, admin.version);
        if ((*link)->deadline != FSRV_NEVER) /* a private server's only one is kept, whatever it says */
                fsrv__peer_close(s, link);
}
