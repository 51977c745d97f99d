/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_WAIT_H
#define FSRV_BASE_WAIT_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

/* Who may end a wait early. No check: nobody. */
struct fsrv__interrupt {
        int (*check)(void *data); /* non-zero ends it */
        void *data;
};

/* poll(2), of one fd, or with NULL of none: how many are ready; 0 when the deadline has passed; -EINTR when
 * `interrupt`, which may be NULL, ends it; another -errno. It asks after each signal handler of this thread's, and
 * every 50 ms: a signal that came before the wait, or to another thread, wakes nobody. */
int fsrv__poll_all(struct pollfd *entries, size_t n, int64_t deadline, const struct fsrv__interrupt *interrupt);
int fsrv__poll(struct pollfd *entry, int64_t deadline, const struct fsrv__interrupt *interrupt);

#endif
