/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_WAIT_H
#define FSRV_BASE_WAIT_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

/* A function of the caller's that may end a wait early. NULL: there is none. */
struct fsrv__interrupt {
        int (*check)(void *data); /* non-zero ends it */
        void *data;
};

/* poll(2) until the deadline; fsrv__poll() with one fd, or with NULL for none. How many fds are ready; 0: the deadline
 * has passed; -EINTR: `interrupt`, which may be NULL, ended it; another -errno. The check is called after each signal
 * handler of this thread, and every 50 ms, as a signal before the wait or to another thread does not wake this one. */
int fsrv__poll_all(struct pollfd *entries, size_t n, int64_t deadline, const struct fsrv__interrupt *interrupt);
int fsrv__poll(struct pollfd *entry, int64_t deadline, const struct fsrv__interrupt *interrupt);

#endif
