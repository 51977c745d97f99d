/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/wait.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/call.h"
#include "base/clock.h"

enum { SLICE_MS = 50 };

static bool can_end(const struct fsrv_interrupt *interrupt) {
        return interrupt && interrupt->check;
}

/* Not by poll(2)'s wrapper, which may be a library's that has time go as it likes. */
static int poll_by_kernel(struct pollfd *entries, size_t n, int timeout_ms) {
        const struct { long s, ns; } timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };

        return (int)fsrv_call(SYS_ppoll, entries, n, timeout_ms < 0 ? NULL : &timeout, NULL, 0);
}

int fsrv_poll_all(struct pollfd *entries, size_t n, int64_t deadline, const struct fsrv_interrupt *interrupt) {
        for (;;) {
                int left = fsrv_left(deadline), slice = left;

                if (can_end(interrupt) && (left < 0 || left > SLICE_MS))
                        slice = SLICE_MS;
                int r = poll_by_kernel(entries, n, slice);
                if (r < 0 && r != -EINTR)
                        return r;
                if (r > 0)
                        return r;
                if (r == 0 && fsrv_now() >= deadline)
                        return 0;
                if (can_end(interrupt) && interrupt->check(interrupt->data))
                        return -EINTR;
        }
}

int fsrv_poll(struct pollfd *entry, int64_t deadline, const struct fsrv_interrupt *interrupt) {
        return fsrv_poll_all(entry, entry != NULL, deadline, interrupt);
}
