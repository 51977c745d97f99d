/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_CALLER_H
#define FSRV_CLIENT_CALLER_H

#include <stdint.h>

/* What a child has from its caller by default, as with posix_spawn(3): the caller's at this moment. */
struct fsrv__caller {
        uint32_t umask;
        uint64_t signals_ignored;
};

/* Reads both from /proc/self/status (`proc_status`, which the handle keeps open) at once, in 7 µs. umask(2) cannot tell
 * the umask without changing it for every thread, and 64 calls of sigaction(2) take 9 µs. Where there is no /proc this
 * uses both, and a process of its own for the umask. 0 or -errno. */
int fsrv__caller_read(int proc_status, struct fsrv__caller *ret_caller);

#endif
