/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_PIECES_H
#define FSRV_ZYGOTE_PIECES_H

/* Which of this process's memory is to be frozen or collapsed. */

#include "zygote/mappings.h"

struct fsrv__pieces {
        struct fsrv__list *mappings; /* the caller's */
        struct fsrv__list runs;      /* struct fsrv_run, in the mappings' order */
        uint64_t page, candidates;   /* bytes: of a page; private, of all candidates */
        size_t at;                   /* of the mappings: where mapping_at() was last */
};

/* Reads the mappings from /proc/self/smaps and marks the candidates; the others' `why` says why not. 0 or -errno. */
int fsrv__pieces_read(struct fsrv__pieces *pieces);
/* Finds the runs of pages in them that are worth it. A candidate's `why` says why a part of it is left. 0 or -errno.
 * Free the runs by fsrv__list_done(). */
int fsrv__pieces_find(struct fsrv__pieces *pieces);
/* Takes stretches of zeros out of the runs, and gives them back to the kernel: they are zeros as before, but no pages.
 * Only to be called where no thread runs, which could write there meanwhile. 0; or -errno, and the runs are as they
 * were. */
int fsrv__pieces_give_zeros_back(struct fsrv__pieces *pieces);
/* Whether the bytes of whole pages are zero. */
bool fsrv__pieces_are_zero(uintptr_t at, uint64_t size);
/* The mapping that an address in a run belongs to. Writes to nothing but `pieces`, which has to be on the stack while
 * memory is replaced. */
struct fsrv__mapping *fsrv__pieces_mapping_at(struct fsrv__pieces *pieces, uintptr_t address);

#endif
