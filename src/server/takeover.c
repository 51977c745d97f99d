/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/fd.h"
#include "forkserver.h"
#include "server/server.h"
#include "wire/messages.h"

/* The workers of the old server are its children. It alone can hear how they end, so they stay its own, and it stays
 * for them. What can go over are the sockets at which new requests arrive. */

enum { ANSWER_MS = 5000, PER_LOCKED = 2, CALLERS_MAX = FSRV_WIRE_FDS_MAX };

/* ---- the new one ---- */

static int connect_to_other(const struct fsrv__server *s) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (strlen(s->config.path) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        strcpy(address.sun_path, s->config.path);
        FSRV_CLEANUP_FD int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (sock < 0 || connect(sock, (struct sockaddr *)&address, sizeof address) < 0)
                return -errno;
        return fsrv__fd_steal(&sock);
}

bool fsrv__takeover_has_other(const struct fsrv__server *s) {
        FSRV_CLEANUP_FD int sock = connect_to_other(s);

        return sock >= 0;
}

/* The old one runs as we do, or is root's. */
static int check_other(int sock) {
        struct ucred cred;
        socklen_t size = sizeof cred;

        if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
                return -errno;
        return cred.uid == fsrv__euid() || cred.uid == 0 ? 0 : -EPERM;
}

static int ask_other(int sock, uint32_t type, struct fsrv__wire_takeover *reply, struct fsrv__message *message,
                     int slots[FSRV_SLOTS]) {
        const struct fsrv__wire_admin question = { .version = FSRV_WIRE_VERSION, .type = type };
        int64_t deadline = fsrv__deadline(ANSWER_MS);
        int r = fsrv__channel_send_patiently(sock, &question, sizeof question, NULL, 0, deadline);

        if (r < 0)
                return r;
        *reply = (struct fsrv__wire_takeover){ 0 };
        r = fsrv__channel_receive_by(sock, reply, sizeof *reply, deadline, message);
        if (r == -EMFILE)
                fsrv__message_close(message);
        if (r != 1)
                return r < 0 ? r : -ECONNRESET;
        return fsrv__reply_unpack(type, reply, message, slots);
}

/* Instead of the doorbell that it has had until now, which nobody knows. */
static int replace_doorbell(struct fsrv__server *s, int slots[FSRV_SLOTS]) {
        struct fsrv__zygote *z = s->zygotes;

        fsrv__unwatch(s, z->doorbell);
        fsrv__fd_close(z->doorbell);
        fsrv__fd_close(z->doorbell_send);
        z->doorbell = fsrv__fd_steal(&slots[FSRV_SLOT_DOORBELL]);
        z->doorbell_send = fsrv__fd_steal(&slots[FSRV_SLOT_SOCKET]);
        return fsrv__watch(s, z->doorbell, 0, FSRV_SOURCE_DOORBELL, z->id);
}

/* A client that has connected, and is to ask. */
static void take_peer(struct fsrv__server *s, int fd) {
        struct ucred cred;
        socklen_t size = sizeof cred;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
                fsrv__fd_close(fd);
        else
                fsrv__peer_add(s, fd, cred.uid, fsrv__deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS));
}

static int take_sockets(struct fsrv__server *s, const struct fsrv__wire_takeover *reply, int slots[FSRV_SLOTS],
                        struct fsrv__message *message) {
        int r = replace_doorbell(s, slots);

        for (uint32_t i = 0; r == 0 && i + 1 < reply->n_fds; i += PER_LOCKED)
                r = fsrv__zygote_add(s, fsrv__fd_steal(&message->fds[i]), -1, fsrv__fd_steal(&message->fds[i + 1]));
        if (r < 0)
                return r;
        s->listener = fsrv__fd_steal(&slots[FSRV_SLOT_LISTENER]);
        return fsrv__watch(s, s->listener, EPOLLIN, FSRV_SOURCE_LISTENER, 0);
}

/* What the other server has given is its own still. To drain would shut its doorbells. */
static void give_back(struct fsrv__server *s) {
        fsrv__zygotes_let_go(s);
        if (s->listener >= 0)
                fsrv__unwatch(s, s->listener);
        s->listener = fsrv__fd_close(s->listener);
}

/* From now on the other one drains. */
static int succeed(struct fsrv__server *s, int sock, bool is_given) {
        struct fsrv__wire_takeover reply;
        struct fsrv__message message = { 0 };
        struct stat st;
        int slots[FSRV_SLOTS];
        int r = ask_other(sock, FSRV_WIRE_ADMIN_SUCCEED, &reply, &message, slots);

        if (r == 0 && reply.reply.err)
                r = -reply.reply.err;
        for (uint32_t i = 0; r == 0 && i < reply.n_fds; i++)
                take_peer(s, fsrv__fd_steal(&message.fds[i]));
        fsrv__message_close(&message);
        if (r == 0 && !is_given && lstat(s->config.path, &st) == 0) {
                s->socket_device = st.st_dev;
                s->socket_inode = st.st_ino;
        }
        return r;
}

/* 0 or -errno. */
static int take_from(struct fsrv__server *s, int sock, struct fsrv__wire_takeover *reply) {
        struct fsrv__message message = { 0 };
        int slots[FSRV_SLOTS] = FSRV_NO_FDS, r = check_other(sock);

        if (r == 0)
                r = ask_other(sock, FSRV_WIRE_ADMIN_TAKEOVER, reply, &message, slots);
        if (r < 0)
                return r;
        if (reply->reply.err)
                return -reply->reply.err;
        r = take_sockets(s, reply, slots, &message);
        fsrv__fds_close(slots, FSRV_SLOTS);
        fsrv__message_close(&message);
        if (r == 0)
                r = succeed(s, sock, reply->is_given);
        if (r < 0)
                give_back(s);
        return r;
}

static int fail(struct fsrv__wire_failed *failure, int r, const char *text) {
        failure->type = FSRV_WIRE_FAILED;
        failure->stage = FSRV_STAGE_ADMIN;
        failure->err = -r;
        snprintf(failure->text, sizeof failure->text, "taking over from the other server: %.200s",
                 text ? text : strerrordesc_np(-r));
        return r;
}

int fsrv__takeover_take(struct fsrv__server *s, struct fsrv__wire_failed *failure) {
        struct fsrv__wire_takeover reply = { 0 };
        FSRV_CLEANUP_FD int sock = connect_to_other(s);
        int r = sock;

        if (r == -ENOENT || r == -ECONNREFUSED)
                r = fsrv__listen(s, -1);
        else if (r >= 0)
                r = take_from(s, sock, &reply);
        s->takes_over = r < 0;
        if (r == -EPROTONOSUPPORT)
                return fail(failure, r, "it speaks another version of the protocol");
        if (r == -EPERM)
                return fail(failure, r, "another user runs it");
        if (r < 0)
                return fail(failure, r, reply.reply.err ? reply.reply.text : NULL);
        if (reply.reply.server_pid)
                fsrv__log(s, FSRV_INFO, "took over from pid %d", (int)reply.reply.server_pid);
        return 0;
}

/* ---- the old one ---- */

int fsrv__takeover_give(const struct fsrv__server *s, int peer) {
        struct fsrv__wire_takeover reply = { .reply = { .version = FSRV_WIRE_VERSION, .server_pid = getpid() },
                                             .is_given = s->socket_inode == 0 };
        int slots[FSRV_SLOTS] = FSRV_NO_FDS, callers[FSRV_WIRE_FDS_MAX], fds[FSRV_WIRE_FDS_MAX + FSRV_SLOTS];
        const struct fsrv__zygote *first = s->zygotes;

        slots[FSRV_SLOT_LISTENER] = s->listener;
        slots[FSRV_SLOT_DOORBELL] = first->doorbell;
        slots[FSRV_SLOT_SOCKET] = first->doorbell_send;
        for (const struct fsrv__zygote *z = first->next; z; z = z->next)
                if (fsrv__zygote_is_locked(z) && !z->is_deserted) {
                        callers[reply.n_fds++] = z->doorbell;
                        callers[reply.n_fds++] = z->sandbox;
                }
        size_t n = fsrv__reply_pack(FSRV_WIRE_ADMIN_TAKEOVER, &reply, slots, callers, fds);
        return fsrv__channel_send(peer, &reply, sizeof reply, fds, n, MSG_DONTWAIT);
}

static int send_peers(const struct fsrv__server *s, int peer) {
        struct fsrv__wire_takeover reply = { .reply = { .version = FSRV_WIRE_VERSION, .server_pid = getpid() } };
        int none[FSRV_SLOTS] = FSRV_NO_FDS, callers[CALLERS_MAX], fds[FSRV_WIRE_FDS_MAX];

        for (const struct fsrv__peer *other = s->peers; other && reply.n_fds < CALLERS_MAX; other = other->next)
                if (other->fd != peer && other->deadline != FSRV_NEVER)
                        callers[reply.n_fds++] = other->fd;
        size_t n = fsrv__reply_pack(FSRV_WIRE_ADMIN_SUCCEED, &reply, none, callers, fds);
        return fsrv__channel_send(peer, &reply, sizeof reply, fds, n, MSG_DONTWAIT);
}

/* The supervisor may not hear of it from the new one, which somebody else may have started. */
static void say_successor(const struct fsrv__server *s, int peer) {
        struct ucred cred;
        socklen_t size = sizeof cred;
        char fields[32];

        if (getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
                return;
        snprintf(fields, sizeof fields, "MAINPID=%d\n", (int)cred.pid);
        fsrv__supervisor_say(s, fields, "%s", "");
}

int fsrv__takeover_end(struct fsrv__server *s, int peer) {
        int r = send_peers(s, peer);

        if (r < 0)
                return r;
        fsrv__log(s, FSRV_INFO, "another server has taken over");
        say_successor(s, peer);
        s->draining = true;
        s->wish = s->wish > FSRV_WISH_DRAIN ? s->wish : FSRV_WISH_DRAIN;
        s->socket_inode = 0; /* the path is the other server's to remove */
        fsrv__reload_give_up(s);
        fsrv__zygotes_retire(s);
        fsrv__zygotes_let_go(s);
        fsrv__unlisten(s);
        return 0;
}
