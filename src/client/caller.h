/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_CALLER_H
#define FSRV_CLIENT_CALLER_H

#include <stdint.h>

/* What a child has from its caller by default, as posix_spawn(3) has it: as it is now. */
struct fsrv__caller {
        uint32_t umask;
        uint64_t signals_ignored;
};

/* From /proc/self/status, which has both in one read of 7 µs. umask(2) cannot be read without being changed for every
 * thread, and 64 calls of sigaction(2) take 9 µs. `proc_status` is kept open by the handle. Without
 * /proc they have to do, and a process of its own for the umask. 0 or -errno. */
int fsrv__caller_read(int proc_status, struct fsrv__caller *ret_caller);

#endif
