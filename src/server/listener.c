/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/linux.h"
#include "forkserver.h"
#include "server/server.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

static int bind_at(int sock, const struct sockaddr_un *address) {
        if (bind(sock, (const struct sockaddr *)address, sizeof *address) == 0)
                return 0;
        if (errno != EADDRINUSE)
                return -errno;
        /* A server that was killed may have left it. Then no process answers there. */
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

int fsrv__listen(struct fsrv__server *s) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const char *path = s->config.path;
        int r, off = 0;

        if (strlen(path) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        FSRV_CLEANUP_FD int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (sock < 0)
                return -errno;
        /* No client needs to send fds here. One that is turned away could leave a socket that takes hours to close:
         * SO_LINGER. */
        setsockopt(sock, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof off);
        mode_t mask = umask(0777); /* no client gets in before the mode is what was asked for */
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

/* The path goes first: no client is to find a socket where no server listens any more. */
void fsrv__unlisten(struct fsrv__server *s) {
        struct stat st;

        if (s->listener < 0)
                return;
        if (lstat(s->config.path, &st) == 0 && st.st_dev == s->socket_device && st.st_ino == s->socket_inode)
                unlink(s->config.path);
        s->listener = fsrv__fd_close(s->listener);
}

static bool may_enter(const struct fsrv__server *s, uid_t uid) {
        if (uid == fsrv__euid() || uid == 0)
                return true;
        for (uint32_t i = 0; i < s->config.head.n_uids; i++)
                if (s->config.head.uids[i] == uid)
                        return true;
        return false;
}

void fsrv__listener_on_peers(struct fsrv__server *s) {
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
                        fsrv__peer_reply(fd, EACCES, FSRV_STAGE_CREDENTIALS, text, NULL, 0);
                        fsrv__fd_close(fd);
                        continue;
                }
                fsrv__peer_add(s, fd, cred.uid, fsrv__deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS));
        }
}
