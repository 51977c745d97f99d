/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>

#include "base/clock.h"
#include "wire/channel.h"

enum { LOOK_MS = 1 }; /* where there is nothing to poll for */

bool fsrv__channel_is_short(int err) {
        return err == -EAGAIN || err == -ENOBUFS || err == -ENOMEM || err == -ETOOMANYREFS;
}

static void wait_for_room(int sock, int err, int64_t deadline) {
        struct pollfd entry = { .fd = sock, .events = POLLOUT };
        int64_t soon = fsrv__deadline(LOOK_MS);

        if (err == -EAGAIN)
                fsrv__poll(&entry, deadline, NULL);
        else
                fsrv__poll(NULL, soon < deadline ? soon : deadline, NULL);
}

int fsrv__channel_send_patiently(int sock, const void *bytes, size_t n, const int *fds, size_t n_fds,
                                 int64_t deadline) {
        for (;;) {
                int r = fsrv__channel_send(sock, bytes, n, fds, n_fds, MSG_DONTWAIT);
                if (!fsrv__channel_is_short(r) || fsrv__now() >= deadline)
                        return r;
                wait_for_room(sock, r, deadline);
        }
}
