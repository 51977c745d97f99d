/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_SIGPIPE_H
#define FSRV_BASE_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

/* A reader that has gone is no reason to kill the program: between these two no SIGPIPE comes of a write, and none of
 * others' is lost. */
struct fsrv__sigpipe {
        sigset_t before;
        bool was_pending;
};

void fsrv__sigpipe_hold(struct fsrv__sigpipe *sigpipe);
/* `came`: a write said EPIPE. */
void fsrv__sigpipe_release(const struct fsrv__sigpipe *sigpipe, bool came);

#endif
