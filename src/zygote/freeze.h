/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_FREEZE_H
#define FSRV_ZYGOTE_FREEZE_H

/* Freezing: the contents of memory go to a memfd that is sealed, and are mapped back, so that forks copy none of it. */

#include "zygote/pieces.h"

/* Freezes the pieces, and adds the bytes to *frozen. 0, or -errno and what failed in words; then a part may be frozen.
 */
int fsrv__freeze(struct fsrv__pieces *pieces, uint64_t *frozen, const char **ret_failed);

#endif
