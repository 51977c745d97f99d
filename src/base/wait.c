/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/wait.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/call.h"
#include "base/clock.h"

enum { SLICE_MS = 50 };

static bool can_end(const struct fsrv__interrupt *interrupt) {
        return interrupt && interrupt->check;
}

/* The bare call: the wrapper may be another library's, which makes time up (libfaketime). */
static int poll_by_kernel(struct pollfd *entries, size_t n, int timeout_ms) {
        const struct { long s, ns; } timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };

        return (int)fsrv__call(SYS_ppoll, entries, n, timeout_ms < 0 ? NULL : &timeout, NULL, 0);
}

int fsrv__poll_all(struct pollfd *entries, size_t n, int64_t deadline, const struct fsrv__interrupt *interrupt) {
        for (;;) {
                int left = fsrv__left(deadline), slice = left;

                if (can_end(interrupt) && (left < 0 || left > SLICE_MS))
                        slice = SLICE_MS;
                int r = poll_by_kernel(entries, n, slice);
                if (r < 0 && r != -EINTR)
                        return r;
                if (r > 0)
                        return r;
                if (r == 0 && fsrv__now() >= deadline)
                        return 0;
                if (can_end(interrupt) && interrupt->check(interrupt->data))
                        return -EINTR;
        }
}

int fsrv__poll(struct pollfd *entry, int64_t deadline, const struct fsrv__interrupt *interrupt) {
        return fsrv__poll_all(entry, entry != NULL, deadline, interrupt);
}
