/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "client/server.h"
#include "wire/channel.h"

/* Questions to a server about itself. */

/* An admin connection of the caller's own: a copy of a private handle's, or a new one to a named server. -ENOTCONN: a
 * private server that isn't running. */
static int open_admin(struct fsrv_server *s, struct fsrv_error *error) {
        int fd;

        if (s->kind == FSRV_SERVER_INHERITED)
                return fsrv_fail_text(error, FSRV_STAGE_ADMIN, EOPNOTSUPP, "only who started a fork server may ask that of it");
        if (s->kind == FSRV_SERVER_NAMED)
                return fsrv_connect(s->path, s->server_uid, error);
        fd = s->admin < 0 ? -ENOTCONN : fsrv_fd_dup_above(s->admin, 3);
        return fd == -ENOTCONN || fd >= 0 ? fd : fsrv_fail(error, FSRV_STAGE_ADMIN, -fd, "the admin connection");
}

/* Under the lock for a private server: two threads must not take each other's answers. */
static int ask(struct fsrv_server *s, uint32_t type, struct fsrv_wire_reply *reply, size_t size, int *ret_admin,
               struct fsrv_error *error) {
        int r;

        pthread_mutex_lock(&s->lock);
        FSRV_CLEANUP_FD int admin = open_admin(s, error);
        r = admin < 0 ? admin : fsrv_ask(admin, type, reply, size, NULL, error);
        if (r == -ECONNRESET && s->kind == FSRV_SERVER_PRIVATE)
                r = -ENOTCONN; /* it has died since */
        pthread_mutex_unlock(&s->lock);
        if (r == 0 && ret_admin)
                *ret_admin = fsrv_fd_steal(&admin);
        if (admin < 0)
                fsrv_fd_steal(&admin);
        return r;
}

int fsrv_server_ensure_running(struct fsrv_server *s, struct fsrv_error *error) {
        struct fsrv_grip grip;
        struct fsrv_wire_stats stats;

        int r = fsrv_server_acquire(s, &grip, error);
        if (r < 0)
                return r;
        /* Acquiring trusts the link; a server that has died since shows here. */
        if (s->kind == FSRV_SERVER_PRIVATE &&
            ask(s, FSRV_WIRE_ADMIN_STATS, &stats.reply, sizeof stats, NULL, NULL) == -ENOTCONN) {
                fsrv_server_forget(s, grip.link);
                fsrv_server_release(&grip);
                r = fsrv_server_acquire(s, &grip, error);
                if (r < 0)
                        return r;
        }
        fsrv_server_release(&grip);
        return 0;
}

int fsrv_server_get_stats(struct fsrv_server *s, struct fsrv_stats *ret_stats, struct fsrv_error *error) {
        struct fsrv_wire_stats from;

        if (ret_stats->size != sizeof *ret_stats)
                return fsrv_fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "the size of struct fsrv_stats");
        int r = ask(s, FSRV_WIRE_ADMIN_STATS, &from.reply, sizeof from, NULL, error);
        if (r == -ENOTCONN) {
                *ret_stats = (struct fsrv_stats){ .size = sizeof *ret_stats };
                return 0;
        }
        if (r < 0)
                return r;
        struct fsrv_stats to = {
                .size = sizeof to, .server_pid = from.reply.server_pid, .zygote_pid = from.zygote_pid,
                .uptime_ms = from.uptime_ms, .spawns = from.spawns, .claims = from.claims, .exits = from.exits,
                .zygote_starts = from.zygote_starts, .zygote_restarts = from.zygote_restarts, .workers = from.workers,
                .standbys = from.standbys,
        };
        _Static_assert(sizeof to.failures == sizeof from.failures, "one list of stages");
        memcpy(to.failures, from.failures, sizeof to.failures);
        *ret_stats = to;
        return 0;
}

int fsrv_server_stop(struct fsrv_server *s, int timeout_ms, struct fsrv_error *error) {
        int64_t deadline = fsrv_deadline(timeout_ms);
        struct fsrv_wire_reply reply;
        struct fsrv_message message;
        FSRV_CLEANUP_FD int admin = -1;

        int r = ask(s, FSRV_WIRE_ADMIN_STOP, &reply, sizeof reply, &admin, error);
        pthread_mutex_lock(&s->lock);
        s->link = fsrv_link_unref(s->link);
        s->admin = fsrv_fd_close(s->admin);
        pthread_mutex_unlock(&s->lock);
        if (r == -ENOTCONN)
                return 0;
        if (r < 0)
                return r;
        /* It says no more: its end closes the connection. */
        r = fsrv_channel_receive_by(admin, &reply, sizeof reply, deadline, &message);
        if (r == 1)
                fsrv_message_close(&message);
        if (r == -ETIMEDOUT)
                return fsrv_fail_text(error, FSRV_STAGE_ADMIN, ETIMEDOUT, "the fork server still has workers");
        return 0;
}
