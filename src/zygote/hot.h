/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_HOT_H
#define FSRV_ZYGOTE_HOT_H

#include "forkserver-host.h"

/*
 * Hot pages. A worker's start is mostly page faults: it writes to pages that it shares with the zygote, one fault each.
 * A rehearsal tells which ones: a child does what every worker does, and is thrown away. Each standby then gets its own
 * copies of just those pages before it waits for a request.
 */

/* In the zygote, before its memory is frozen. If this fails, workers start more slowly, and that is all. */
void fsrv__hot_rehearse(const struct fsrv_host *host);
/* In each standby. */
void fsrv__hot_copy(void);

#endif
