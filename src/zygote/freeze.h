/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_FREEZE_H
#define FSRV_ZYGOTE_FREEZE_H

/* Forks whose cost doesn't depend on how much memory is loaded. */

#include <stdint.h>

#include "forkserver.h"
#include "wire/protocol.h"

struct fsrv_freeze_report {
        uint64_t frozen, collapsed, left; /* bytes of private memory; `left` is what stays as it was */
        uint64_t core_filter;               /* what /proc/self/coredump_filter was, plus one; 0: it wasn't changed */
        char why[FSRV_WIRE_TEXT_MAX];     /* the mode is a weaker one than was asked for, or something failed: a sentence. Or "" */
};

/* Freezes or collapses this process's memory. In a process of one thread, with all signals blocked that could be caught, when all is
 * loaded: whatever is written later to what is frozen makes forks slower again. What fails leaves the memory as it was. */
void fsrv_freeze(enum fsrv_memory mode, struct fsrv_freeze_report *ret_report);

#endif
