/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/sigpipe.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <time.h>

static sigset_t only_sigpipe(void) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGPIPE);
        return set;
}

void fsrv__sigpipe_hold(struct fsrv__sigpipe *sigpipe) {
        sigset_t set = only_sigpipe(), pending;

        pthread_sigmask(SIG_BLOCK, &set, &sigpipe->before);
        sigpending(&pending);
        sigpipe->was_pending = sigismember(&pending, SIGPIPE) == 1;
}

void fsrv__sigpipe_release(const struct fsrv__sigpipe *sigpipe, bool came) {
        const struct timespec now = { 0 };
        sigset_t set = only_sigpipe();

        if (came && !sigpipe->was_pending)
                while (sigtimedwait(&set, NULL, &now) < 0 && errno == EINTR)
                        ;
        pthread_sigmask(SIG_SETMASK, &sigpipe->before, NULL);
}
