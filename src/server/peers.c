/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/linux.h"
#include "forkserver.h"
#include "server/supervisor.h"

/* Admin connections: a private server's client has one from the start; a named server's come by its listener, say what
 * they want, get it and leave. */

enum { PEERS_MAX = 128 };

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

/* ---- the listener ---- */

static int bind_at(int sock, const struct sockaddr_un *address) {
        if (bind(sock, (const struct sockaddr *)address, sizeof *address) == 0)
                return 0;
        if (errno != EADDRINUSE)
                return -errno;
        /* Left by a server that was killed? Then nobody answers there. */
        FSRV_CLEANUP_FD int probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct stat st;
        if (probe < 0)
                return -errno;
        if (connect(probe, (const struct sockaddr *)address, sizeof *address) == 0 || errno != ECONNREFUSED ||
            lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
                return -EADDRINUSE;
        if (unlink(address->sun_path) < 0 || bind(sock, (const struct sockaddr *)address, sizeof *address) < 0)
                return -errno;
        return 0;
}

int fsrv__listen(struct fsrv__supervisor *s) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const char *path = s->config.path;
        int r, off = 0;

        if (strlen(path) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        FSRV_CLEANUP_FD int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (sock < 0)
                return -errno;
        /* Nobody needs to send fds here, and who is turned away may leave one whose close(2) takes hours: SO_LINGER. */
        setsockopt(sock, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof off);
        mode_t mask = umask(0777); /* nobody gets in before the mode is what was asked for */
        r = bind_at(sock, &address);
        umask(mask);
        if (r < 0)
                return r;
        struct stat st;
        if (chmod(path, s->config.head.mode ? s->config.head.mode : 0600) < 0 || lstat(path, &st) < 0 ||
            listen(sock, SOMAXCONN) < 0) {
                r = -errno;
                unlink(path);
                return r;
        }
        s->socket_device = st.st_dev;
        s->socket_inode = st.st_ino;
        s->listener = fsrv__fd_steal(&sock);
        return fsrv__watch(s, s->listener, EPOLLIN, FSRV_SOURCE_LISTENER, 0);
}

/* The path first: nobody finds a socket where nobody listens any more. */
void fsrv__unlisten(struct fsrv__supervisor *s) {
        struct stat st;

        if (s->listener < 0)
                return;
        if (lstat(s->config.path, &st) == 0 && st.st_dev == s->socket_device && st.st_ino == s->socket_inode)
                unlink(s->config.path);
        s->listener = fsrv__fd_close(s->listener);
}

/* ---- peers ---- */

int fsrv__peer_add(struct fsrv__supervisor *s, int fd, uid_t uid, int64_t deadline) {
        struct fsrv__peer *peer = malloc(sizeof *peer);

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

static void close_peer(struct fsrv__supervisor *s, struct fsrv__peer **link) {
        struct fsrv__peer *peer = *link;

        *link = peer->next;
        fsrv__fd_close(peer->fd);
        free(peer);
        s->n_peers--;
}

/* The longest silent one makes room: the last of the list that has a deadline at all. */
static void close_oldest(struct fsrv__supervisor *s) {
        struct fsrv__peer **oldest = NULL;

        for (struct fsrv__peer **link = &s->peers; *link; link = &(*link)->next)
                if ((*link)->deadline != FSRV_NEVER)
                        oldest = link;
        if (oldest)
                close_peer(s, oldest);
}

static void reply(int fd, int err, uint32_t stage, const char *text, const int *fds, size_t n_fds) {
        struct fsrv__wire_reply reply = {
                .version = FSRV_WIRE_VERSION, .err = err, .stage = stage, .server_pid = getpid()
        };

        snprintf(reply.text, sizeof reply.text, "%s", text);
        fsrv__channel_send(fd, &reply, sizeof reply, fds, n_fds, MSG_DONTWAIT);
}

static bool may_enter(const struct fsrv__supervisor *s, uid_t uid) {
        if (uid == fsrv__euid() || uid == 0)
                return true;
        for (uint32_t i = 0; i < s->config.head.n_uids; i++)
                if (s->config.head.uids[i] == uid)
                        return true;
        return false;
}

void fsrv__peers_on_listener(struct fsrv__supervisor *s) {
        for (;;) {
                struct ucred cred;
                socklen_t size = sizeof cred;
                int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd < 0)
                        return; /* EMFILE too: the reserve is for this, and the backlog waits */
                if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0 || !may_enter(s, cred.uid)) {
                        char text[96];
                        snprintf(text, sizeof text, "uid %u may not use this fork server", (unsigned)cred.uid);
                        fsrv__log(s, "refused: %s", text);
                        reply(fd, EACCES, FSRV_STAGE_CREDENTIALS, text, NULL, 0);
                        fsrv__fd_close(fd);
                        continue;
                }
                if (s->n_peers >= PEERS_MAX)
                        close_oldest(s);
                fsrv__peer_add(s, fd, cred.uid, fsrv__deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS));
        }
}

static void count_children(struct fsrv__supervisor *s, struct fsrv__wire_stats *stats) {
        stats->standbys = s->idle;
        stats->trying = fsrv__zygote_heir(s) != NULL;
        stats->workers = HASH_COUNT(s->children) - stats->standbys - stats->trying;
}

static void send_stats(struct fsrv__supervisor *s, int fd) {
        struct fsrv__wire_stats *stats = &s->stats;

        stats->reply = (struct fsrv__wire_reply){ .version = FSRV_WIRE_VERSION, .server_pid = getpid() };
        stats->zygote_pid = s->zygote.pid;
        count_children(s, stats);
        stats->uptime_ms = (uint64_t)(fsrv__now() - s->started);
        fsrv__channel_send(fd, stats, sizeof *stats, NULL, 0, MSG_DONTWAIT);
}

static void obey(struct fsrv__supervisor *s, struct fsrv__peer *peer, const struct fsrv__wire_admin *admin,
                 struct fsrv__message *message) {
        switch (admin->type) {
        case FSRV_WIRE_ADMIN_CONNECT:
                if (message->n_fds == 1)
                        fsrv__peer_add(s, fsrv__fd_steal(&message->fds[0]), peer->uid,
                                       fsrv__deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS));
                break;
        case FSRV_WIRE_ADMIN_ATTACH:
                if (s->doorbell_send < 0 || s->draining)
                        reply(peer->fd, ECONNREFUSED, FSRV_STAGE_CONNECT, "the fork server is ending", NULL, 0);
                else
                        reply(peer->fd, 0, 0, "", &s->doorbell_send, 1);
                break;
        case FSRV_WIRE_ADMIN_STATS:
                send_stats(s, peer->fd);
                break;
        case FSRV_WIRE_ADMIN_STOP:
                if (peer->uid != fsrv__euid() && peer->uid != 0) {
                        reply(peer->fd, EACCES, FSRV_STAGE_ADMIN, "only its own uid and root may stop a fork server",
                              NULL, 0);
                        break;
                }
                peer->deadline = FSRV_NEVER; /* it hears our end as end-of-file */
                reply(peer->fd, 0, 0, "", NULL, 0);
                fsrv__drain(s);
                break;
        default:
                reply(peer->fd, EPROTO, FSRV_STAGE_ADMIN, "the fork server does not know this question", NULL, 0);
        }
}

void fsrv__peer_on_message(struct fsrv__supervisor *s, uint32_t fd) {
        struct fsrv__peer **link = &s->peers;
        struct fsrv__wire_admin admin;
        struct fsrv__message message;

        while (*link && (*link)->fd != (int)fd)
                link = &(*link)->next;
        if (!*link)
                return;
        int r = fsrv__channel_receive((int)fd, &admin, sizeof admin, MSG_DONTWAIT, &message);
        if (r == -EAGAIN)
                return;
        if (r == 1 && message.size == sizeof admin && admin.version == FSRV_WIRE_VERSION) {
                obey(s, *link, &admin, &message);
                fsrv__message_close(&message);
                return;
        }
        if (r == 1 || r == -EMFILE)
                fsrv__message_close(&message);
        if (r == 1 && message.size >= sizeof admin.version && admin.version != FSRV_WIRE_VERSION) {
                char text[96];
                snprintf(text, sizeof text, "the client speaks protocol %#x, the fork server %#x", admin.version,
                         FSRV_WIRE_VERSION);
                reply((int)fd, EPROTONOSUPPORT, FSRV_STAGE_VERSION, text, NULL, 0);
        }
        if (r == 1 && (*link)->deadline == FSRV_NEVER)
                return; /* a private server's only one: nonsense on it is no reason to be without */
        close_peer(s, link);
}

void fsrv__peers_on_time(struct fsrv__supervisor *s, int64_t now) {
        for (struct fsrv__peer **link = &s->peers; *link;)
                if ((*link)->deadline <= now)
                        close_peer(s, link);
                else
                        link = &(*link)->next;
}
