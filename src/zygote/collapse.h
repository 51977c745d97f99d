/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_COLLAPSE_H
#define FSRV_ZYGOTE_COLLAPSE_H

/* Huge pages: of one, a fork copies one entry of a page table instead of 512. */

#include <stdbool.h>
#include <stdint.h>

#include "base/huge.h"
#include "zygote/pieces.h"

static inline uint64_t fsrv__round_up(uint64_t value, uint64_t to) {
        return (value + to - 1) / to * to;
}

/* When making huge pages has to end, from now: where memory is in pieces the kernel takes seconds a GiB to make room.
 */
int64_t fsrv__collapse_deadline(void);

/* Makes huge pages of anonymous memory, for lack of something better, and adds the bytes to *collapsed. 0, or -errno of
 * what could not be collapsed. */
int fsrv__collapse(struct fsrv__pieces *pieces, uint64_t *collapsed);

/* Whether the kernel makes huge pages of a memfd: tries it with one. The memfd is empty before and after it. */
bool fsrv__collapse_works_on(int memfd);
/* Makes one of the memfd's bytes at the offset, if the kernel has room for it. */
bool fsrv__collapse_at(int memfd, uint64_t offset);

#endif
