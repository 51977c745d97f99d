/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_SIGPIPE_H
#define FSRV_BASE_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

/* Between these two calls a write to a pipe without a reader makes no SIGPIPE, which would kill the program. A SIGPIPE
 * that another write causes is not lost. */
struct fsrv__sigpipe {
        sigset_t before;
        bool was_pending;
};

void fsrv__sigpipe_hold(struct fsrv__sigpipe *sigpipe);
/* `came`: a write said EPIPE. */
void fsrv__sigpipe_release(const struct fsrv__sigpipe *sigpipe, bool came);

#endif
