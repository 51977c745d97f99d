/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "client/grip.h"
#include "wire/messages.h"

/* Questions to a server about itself. */

enum {
        ENDING_MS = 1000, /* for a server that has closed its connection, and its anchor */
        ROOM_MS = 2,      /* where there is nothing to poll for */
};

/* -ENOTCONN: it isn't running. */
static int send_connect(struct fsrv_server *s, const int slots[FSRV_SLOTS]) {
        struct fsrv__wire_admin question = { .version = FSRV_WIRE_VERSION, .type = FSRV_WIRE_ADMIN_CONNECT };
        int fds[FSRV_SLOTS], r = -ENOTCONN;
        size_t n_fds = fsrv__message_pack(FSRV_TABLE_ADMIN, &question, slots, NULL, fds);

        pthread_mutex_lock(&s->lock);
        if (s->admin >= 0)
                r = fsrv__channel_send(s->admin, &question, sizeof question, fds, n_fds, MSG_DONTWAIT);
        pthread_mutex_unlock(&s->lock);
        return r == -EPIPE || r == -ECONNRESET ? -ENOTCONN : r;
}

/* Without the lock while it waits. */
static int send_connect_patiently(struct fsrv_server *s, int theirs, int64_t deadline) {
        int slots[FSRV_SLOTS] = FSRV_NO_FDS;

        slots[FSRV_SLOT_SOCKET] = theirs;
        for (;;) {
                int r = send_connect(s, slots);
                if (!fsrv__channel_is_short(r) || fsrv__now() >= deadline)
                        return r;
                if (fsrv__poll(NULL, fsrv__deadline(ROOM_MS), &s->interrupt) == -EINTR)
                        return -EINTR;
        }
}

/* Makes a connection to a private server by way of the handle's, which the caller may share with other threads and,
 * after fork(), with other processes. These must not take each other's answers. -ENOTCONN: the server isn't running. */
static int connect_private(struct fsrv_server *s, int64_t deadline, struct fsrv_error *error) {
        int pair[2];

        if (fsrv__socketpair(pair) < 0)
                return fsrv__fail(error, FSRV_STAGE_ADMIN, errno, "an admin connection");
        int r = send_connect_patiently(s, pair[1], deadline);
        fsrv__fd_close(pair[1]);
        if (r == 0)
                return pair[0];
        fsrv__fd_close(pair[0]);
        if (r == -ENOTCONN)
                return r;
        if (r == -EINTR)
                return fsrv__interrupted(error, FSRV_STAGE_ADMIN);
        return fsrv__fail(error, FSRV_STAGE_ADMIN, -r, "asking the fork server");
}

/* An admin connection of the caller's own. */
static int open_admin(struct fsrv_server *s, int64_t deadline, struct fsrv_error *error) {
        if (s->kind == FSRV_SERVER_INHERITED)
                return fsrv__fail_text(error, FSRV_STAGE_ADMIN, EOPNOTSUPP,
                                       "only the program that started a fork server may ask that of it");
        if (s->kind == FSRV_SERVER_NAMED)
                return fsrv__connect(s, deadline, error);
        return connect_private(s, deadline, error);
}

/* The deadline holds from the connection to the answer. -ENOTCONN: a private server isn't running. *ret_admin, if
 * wanted, is the connection. */
static int ask_server(struct fsrv_server *s, uint32_t type, int64_t deadline, struct fsrv__wire_reply *reply,
                      size_t size, int *ret_admin, struct fsrv_error *error) {
        struct fsrv__question question = { .type = type,
                                           .name = s->path ? s->path : "the fork server",
                                           .deadline = deadline,
                                           .interrupt = &s->interrupt };
        FSRV_CLEANUP_FD int admin = open_admin(s, deadline, error);

        if (admin < 0)
                return fsrv__fd_steal(&admin);
        int r = fsrv__ask(admin, &question, reply, size, error);
        if (r == 0 && ret_admin)
                *ret_admin = fsrv__fd_steal(&admin);
        return r == -ECONNRESET && s->kind == FSRV_SERVER_PRIVATE ? -ENOTCONN : r; /* it has died since */
}

int fsrv_server_ensure_running(struct fsrv_server *s, struct fsrv_error *error) {
        int64_t deadline = fsrv__deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS);
        struct fsrv__wire_stats stats;
        struct fsrv__grip grip;

        int r = fsrv__server_acquire(s, deadline, &grip, error);
        if (r < 0)
                return r;
        /* Acquiring trusts the link. The question finds out whether the server has died since. */
        if (s->kind == FSRV_SERVER_PRIVATE &&
            ask_server(s, FSRV_WIRE_ADMIN_STATS, deadline, &stats.reply, sizeof stats, NULL, NULL) == -ENOTCONN) {
                fsrv__server_forget(s, grip.link);
                fsrv__server_release(&grip);
                r = fsrv__server_acquire(s, deadline, &grip, error);
                if (r < 0)
                        return r;
        }
        fsrv__server_release(&grip);
        return 0;
}

static void convert_stats(const struct fsrv__wire_stats *from, struct fsrv_stats *ret_stats) {
        struct fsrv_stats to = {
                .size = sizeof to,
                .server_pid = from->reply.server_pid,
                .zygote_pid = from->zygote_pid,
                .uptime_ms = from->uptime_ms,
                .spawns = from->spawns,
                .claims = from->claims,
                .exits = from->exits,
                .zygote_starts = from->zygote_starts,
                .zygote_restarts = from->zygote_restarts,
                .malformed = from->malformed,
                .workers = from->workers,
                .standbys = from->standbys,
                .trying = from->trying,
                .memory_frozen = from->memory.frozen,
                .memory_collapsed = from->memory.collapsed,
                .memory_left = from->memory.left,
        };
        _Static_assert(sizeof to.memory_why == sizeof from->memory.why, "one sentence");
        memcpy(to.memory_why, from->memory.why, sizeof to.memory_why);
        to.memory_why[sizeof to.memory_why - 1] = 0;
        _Static_assert(sizeof to.left_out == sizeof from->left_out, "one sentence");
        memcpy(to.left_out, from->left_out, sizeof to.left_out);
        to.left_out[sizeof to.left_out - 1] = 0;
        to.is_ready = from->is_ready;
        to.reloads = from->reloads;
        to.failed_reloads = from->failed_reloads;
        _Static_assert(sizeof to.failure == sizeof from->failure && sizeof to.replaced == sizeof from->replaced,
                       "texts of one size");
        memcpy(to.failure, from->failure, sizeof to.failure);
        to.failure[sizeof to.failure - 1] = 0;
        memcpy(to.replaced, from->replaced, sizeof to.replaced);
        to.replaced[sizeof to.replaced - 1] = 0;
        _Static_assert(sizeof to.failures == sizeof from->failures, "one list of stages");
        memcpy(to.failures, from->failures, sizeof to.failures);
        _Static_assert(sizeof to.signals == sizeof from->signals, "one list of signals");
        memcpy(to.signals, from->signals, sizeof to.signals);
        *ret_stats = to;
}

int fsrv_server_get_stats(struct fsrv_server *s, struct fsrv_stats *ret_stats, struct fsrv_error *error) {
        struct fsrv__wire_stats stats;

        if (ret_stats->size != sizeof *ret_stats)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "the size of struct fsrv_stats");
        int r = ask_server(s, FSRV_WIRE_ADMIN_STATS, fsrv__deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS), &stats.reply,
                           sizeof stats, NULL, error);
        if (r == -ENOTCONN) {
                *ret_stats = (struct fsrv_stats){ .size = sizeof *ret_stats };
                return 0;
        }
        if (r == 0)
                convert_stats(&stats, ret_stats);
        return r;
}

/* Asks for what comes in a file. Its contents with a NUL behind them, which the caller frees; the size. -ENOTCONN: a
 * private server isn't running. */
static int ask_file(struct fsrv_server *s, uint32_t type, char **ret_bytes, size_t *ret_size,
                    struct fsrv_error *error) {
        struct fsrv__question question = { .type = type,
                                           .name = s->path ? s->path : "the fork server",
                                           .deadline = fsrv__deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS),
                                           .interrupt = &s->interrupt };
        FSRV_CLEANUP_FD int admin = open_admin(s, question.deadline, error);
        FSRV_CLEANUP_FD int file = -1;
        struct stat st;

        if (admin < 0)
                return fsrv__fd_steal(&admin);
        int r = fsrv__ask_file(admin, &question, &file, error);
        if (r < 0)
                return r == -ECONNRESET && s->kind == FSRV_SERVER_PRIVATE ? -ENOTCONN : r;
        if (fstat(file, &st) < 0)
                return fsrv__fail(error, FSRV_STAGE_ADMIN, errno, "the answer of the fork server");
        char *bytes = calloc(1, (size_t)st.st_size + 1);
        if (!bytes)
                return fsrv__fail(error, FSRV_STAGE_ADMIN, ENOMEM, "the answer of the fork server");
        ssize_t n = pread(file, bytes, (size_t)st.st_size, 0);
        *ret_bytes = bytes;
        *ret_size = n < 0 ? 0 : (size_t)n;
        return 0;
}

static struct fsrv_listed convert_listed(const struct fsrv__wire_listed *from) {
        return (struct fsrv_listed){ .pid = from->pid,
                                     .role = from->role,
                                     .client_pid = from->client,
                                     .client_uid = from->uid,
                                     .age_ms = from->age_ms,
                                     .left_ms = from->left_ms,
                                     .zygote = from->zygote,
                                     .is_locked = from->is_locked };
}

int fsrv_server_list(struct fsrv_server *s, struct fsrv_listed **ret_list, size_t *ret_n, struct fsrv_error *error) {
        struct fsrv__wire_listed *wire = NULL;
        size_t size = 0;

        int r = ask_file(s, FSRV_WIRE_ADMIN_LIST, (char **)&wire, &size, error);
        if (r < 0 && r != -ENOTCONN)
                return r;
        size_t n = size / sizeof *wire;
        struct fsrv_listed *list = calloc(n + 1, sizeof *list);
        if (!list) {
                free(wire);
                return fsrv__fail(error, FSRV_STAGE_ADMIN, ENOMEM, "the list of processes");
        }
        for (size_t i = 0; i < n; i++)
                list[i] = convert_listed(&wire[i]);
        free(wire);
        *ret_list = list;
        *ret_n = n;
        return 0;
}

int fsrv_server_get_metrics(struct fsrv_server *s, char **ret_text, struct fsrv_error *error) {
        size_t size;
        int r = ask_file(s, FSRV_WIRE_ADMIN_METRICS, ret_text, &size, error);

        if (r != -ENOTCONN)
                return r;
        *ret_text = calloc(1, 1);
        return *ret_text ? 0 : fsrv__fail(error, FSRV_STAGE_ADMIN, ENOMEM, "the counters");
}

int fsrv_server_reload(struct fsrv_server *s, int timeout_ms, struct fsrv_error *error) {
        struct fsrv__wire_reply reply;
        int r = ask_server(s, FSRV_WIRE_ADMIN_RELOAD, fsrv__deadline(timeout_ms), &reply, sizeof reply, NULL, error);

        return r == -ENOTCONN ? 0 : r;
}

/* Gives up the server; the next spawn has another one. Returns its anchor, if it has one. */
static pid_t let_go(struct fsrv_server *s) {
        pthread_mutex_lock(&s->lock);
        pid_t anchor = fsrv__server_let_go(s);
        pthread_mutex_unlock(&s->lock);
        return anchor;
}

int fsrv_server_stop(struct fsrv_server *s, int timeout_ms, struct fsrv_error *error) {
        int64_t deadline = fsrv__deadline(timeout_ms);
        struct fsrv__wire_reply reply;
        struct fsrv__message message;
        FSRV_CLEANUP_FD int admin = -1;

        int r = ask_server(s, FSRV_WIRE_ADMIN_STOP, fsrv__deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS), &reply, sizeof reply,
                           &admin, error);
        pid_t anchor = let_go(s);
        if (r == -ENOTCONN)
                return 0;
        if (r < 0)
                return r;
        /* The server says no more; the connection closes when it ends. */
        r = fsrv__channel_receive_unless(admin, &reply, sizeof reply, deadline, &s->interrupt, &message);
        if (r == 1)
                fsrv__message_close(&message);
        if (r == -EINTR)
                return fsrv__interrupted(error, FSRV_STAGE_ADMIN);
        if (r == -ETIMEDOUT)
                return fsrv__fail_text(error, FSRV_STAGE_ADMIN, ETIMEDOUT, "the fork server still has workers");
        fsrv__anchors_reap(anchor, fsrv__deadline(ENDING_MS));
        return 0;
}

int fsrv_server_end(struct fsrv_server *s, int timeout_ms) {
        return fsrv__anchors_reap(let_go(s), fsrv__deadline(timeout_ms)) ? 0 : -ETIMEDOUT;
}
