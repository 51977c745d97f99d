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

enum { ANSWER_MS = 5000, PER_LOCKED = 2, CALLERS_MAX = FSRV_WIRE_FDS_MAX - 3 };

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

static int ask_other(int sock, struct fsrv__wire_takeover *reply, struct fsrv__message *message,
                     int slots[FSRV_SLOTS]) {
        const struct fsrv__wire_admin question = { .version = FSRV_WIRE_VERSION, .type = FSRV_WIRE_ADMIN_TAKEOVER };
        int64_t deadline = fsrv__deadline(ANSWER_MS);
        int r = check_other(sock);

        if (r == 0)
                r = fsrv__channel_send_patiently(sock, &question, sizeof question, NULL, 0, deadline);
        if (r < 0)
                return r;
        r = fsrv__channel_receive_by(sock, reply, sizeof *reply, deadline, message);
        if (r == -EMFILE)
                fsrv__message_close(message);
        if (r != 1)
                return r < 0 ? r : -ECONNRESET;
        return fsrv__reply_unpack(FSRV_WIRE_ADMIN_TAKEOVER, reply, message, slots);
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
        struct stat st;
        int r = replace_doorbell(s, slots);

        if (reply->n_peers > reply->n_fds)
                return -EPROTO;
        uint32_t locked = reply->n_fds - reply->n_peers;
        for (uint32_t i = 0; r == 0 && i + 1 < locked; i += PER_LOCKED)
                r = fsrv__zygote_add(s, fsrv__fd_steal(&message->fds[i]), -1, fsrv__fd_steal(&message->fds[i + 1]));
        if (r < 0)
                return r;
        for (uint32_t i = locked; i < reply->n_fds; i++)
                take_peer(s, fsrv__fd_steal(&message->fds[i]));
        s->listener = fsrv__fd_steal(&slots[FSRV_SLOT_LISTENER]);
        if (!reply->is_given && lstat(s->config.path, &st) == 0) {
                s->socket_device = st.st_dev;
                s->socket_inode = st.st_ino;
        }
        return fsrv__watch(s, s->listener, EPOLLIN, FSRV_SOURCE_LISTENER, 0);
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
        struct fsrv__message message = { 0 };
        int slots[FSRV_SLOTS] = FSRV_NO_FDS;
        FSRV_CLEANUP_FD int sock = connect_to_other(s);
        int r = sock;

        if (r == -ENOENT || r == -ECONNREFUSED)
                r = fsrv__listen(s, -1);
        else if (r >= 0 && (r = ask_other(sock, &reply, &message, slots)) == 0 && reply.reply.err)
                return fail(failure, -reply.reply.err, reply.reply.text);
        else if (r == 0) {
                r = take_sockets(s, &reply, slots, &message);
                fsrv__log(s, FSRV_INFO, "took over from pid %d", (int)reply.reply.server_pid);
        }
        fsrv__fds_close(slots, FSRV_SLOTS);
        fsrv__message_close(&message);
        s->takes_over = r < 0;
        if (r == -EPROTONOSUPPORT)
                return fail(failure, r, "it speaks another version of the protocol");
        return r < 0 ? fail(failure, r, NULL) : 0;
}

/* ---- the old one ---- */

static int send_sockets(const struct fsrv__server *s, int peer) {
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
        for (const struct fsrv__peer *other = s->peers; other && reply.n_fds < CALLERS_MAX; other = other->next)
                if (other->fd != peer && other->deadline != FSRV_NEVER) {
                        callers[reply.n_fds++] = other->fd;
                        reply.n_peers++;
                }
        size_t n = fsrv__reply_pack(FSRV_WIRE_ADMIN_TAKEOVER, &reply, slots, callers, fds);
        return fsrv__channel_send(peer, &reply, sizeof reply, fds, n, MSG_DONTWAIT);
}

/* If we kept the doorbells' receiving ends, requests would wait for us when the new server has died. */
static void let_go(struct fsrv__server *s) {
        for (struct fsrv__zygote *z = s->zygotes; z; z = z->next) {
                fsrv__unwatch(s, z->doorbell);
                z->doorbell = fsrv__fd_close(z->doorbell);
                z->doorbell_send = fsrv__fd_close(z->doorbell_send);
        }
}

int fsrv__takeover_give(struct fsrv__server *s, int peer) {
        int r = send_sockets(s, peer);

        if (r < 0)
                return r;
        fsrv__log(s, FSRV_INFO, "another server has taken over");
        s->is_succeeded = true;
        s->draining = true;
        s->wish = s->wish > FSRV_WISH_DRAIN ? s->wish : FSRV_WISH_DRAIN;
        s->socket_inode = 0; /* the path is the other server's to remove */
        fsrv__reload_give_up(s);
        fsrv__zygotes_retire(s);
        let_go(s);
        fsrv__unlisten(s);
        return 0;
}
