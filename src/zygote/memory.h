/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_MEMORY_H
#define FSRV_ZYGOTE_MEMORY_H

/* What is done to the zygote's memory so that the cost of forks doesn't depend on how much is loaded. */

#include <stdint.h>

#include "forkserver.h"
#include "wire/protocol.h"
#include "zygote/mappings.h"

struct fsrv__memory_report {
        struct fsrv__wire_memory memory; /* what was done; `why` without a full stop */
        uint64_t core_filter;            /* what /proc/self/coredump_filter was, plus one; 0: it wasn't changed */
        struct fsrv__list mappings;      /* struct fsrv__mapping: what became of each, but with the mode off */
};

/* Freezes or collapses this process's memory. To be called when all is loaded, in a process of one thread, with all
 * signals blocked that could be caught: whatever is written later to what is frozen makes forks slower again. Where
 * something fails, the memory stays as it was. The report is not to be moved: its mappings' `why` may point into it.
 * Free them by fsrv__list_done(). `killed`: so many zygotes before this one, in a row, were killed at this point,
 * probably near a control group's limit; from the second on less is done. */
void fsrv__memory_settle(enum fsrv_memory mode, unsigned killed, struct fsrv__memory_report *ret_report);

#endif
