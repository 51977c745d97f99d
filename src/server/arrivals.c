/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "forkserver.h"
#include "server/server.h"

static bool may_enter(const struct fsrv__server *s, uid_t uid) {
        if (uid == fsrv__euid() || uid == 0)
                return true;
        for (uint32_t i = 0; i < s->config.head.n_uids; i++)
                if (s->config.head.uids[i] == uid)
                        return true;
        return false;
}

void fsrv__listener_on_peers(struct fsrv__server *s) {
        for (int i = 0; i < FSRV_ACCEPTS_MAX; i++) {
                struct ucred cred;
                socklen_t size = sizeof cred;
                int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd < 0)
                        return; /* EMFILE too: the reserve is for this, and the backlog waits */
                if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0 || !may_enter(s, cred.uid)) {
                        char text[96];
                        snprintf(text, sizeof text, "uid %u may not use this fork server", (unsigned)cred.uid);
                        fsrv__log(s, FSRV_WARNING, "refused: %s", text);
                        fsrv__peer_reply(fd, EACCES, FSRV_STAGE_CREDENTIALS, text, NULL, 0);
                        fsrv__fd_close(fd);
                        continue;
                }
                fsrv__peer_add(s, fd, cred.uid, fsrv__deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS));
        }
}
