/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_FREEZE_H
#define FSRV_ZYGOTE_FREEZE_H

/* Forks whose cost doesn't depend on how much memory is loaded. */

#include <stdint.h>

#include "forkserver.h"
#include "wire/protocol.h"
#include "zygote/mappings.h"

struct fsrv__freeze_report {
        struct fsrv__wire_memory memory; /* what was done; `why` without a full stop */
        uint64_t core_filter;            /* what /proc/self/coredump_filter was, plus one; 0: it wasn't changed */
        struct fsrv__list mappings;      /* struct fsrv__mapping: what became of each, but with the mode off */
};

/* Freezes or collapses this process's memory. In a process of one thread, with all signals blocked that could be
 * caught, when all is loaded: whatever is written later to what is frozen makes forks slower again. What fails leaves
 * the memory as it was. The report is not to be moved: its mappings' `why` may point into it. Free them by
 * fsrv__list_done(). `killed` zygotes before this one were killed at it, who is near a control group's limit: from the
 * second on less is done. */
void fsrv__freeze(enum fsrv_memory mode, unsigned killed, struct fsrv__freeze_report *ret_report);

#endif
