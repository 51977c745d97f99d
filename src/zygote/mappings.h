/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_MAPPINGS_H
#define FSRV_ZYGOTE_MAPPINGS_H

/* What lies where in this process, as far as freezing and hot pages have to know. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/linux.h"

/* A list in shared memory, which is no mapping of the kind that is looked for, and stays as it is while all else is
 * copied. */
struct fsrv__list {
        void *items;
        size_t n, size; /* in bytes */
};
/* Room for one more item of `size` bytes, or NULL. Always the same `size` for one list. */
void *fsrv__list_add(struct fsrv__list *list, size_t size);
void fsrv__list_done(struct fsrv__list *list);

enum fsrv__mapping_kind { FSRV_MAPPING_OTHER, FSRV_MAPPING_ANONYMOUS, FSRV_MAPPING_HEAP, FSRV_MAPPING_FILE };

struct fsrv__mapping {
        uintptr_t start, end;
        uint64_t anonymous; /* bytes of private pages, in memory or swapped */
        uint64_t offset;    /* in its file */
        bool is_private, is_writable;
        bool no_huge; /* advised of no huge pages */
        /* NULL: plain, that is private, readable, nothing in VmFlags that we don't know, and no code */
        const char *special;
        enum fsrv__mapping_kind kind;
        char name[104]; /* a path's end if it is longer */

        /* What pieces.c finds out and freeze.c does: */
        bool is_of_object; /* of a loaded one, and written to */
        bool is_candidate; /* for freezing; if not, `why` says why */
        uint64_t found;    /* bytes of pages that are there: the zero page too, which is not anonymous */
        uint64_t frozen, collapsed, given_back, left; /* bytes; `left` of the anonymous ones */
        const char *why;                              /* it, or a part of it, is not frozen; or NULL */
};

/* All mappings, in ascending order, from /proc/self/smaps. 0 or -errno. */
int fsrv__mappings_read(struct fsrv__list *ret_mappings);

struct fsrv_run {
        uintptr_t start, end;
        int protection; /* PROT_…, where it is needed */
};

/* Appends the runs of pages in [start, end), which is anonymous, that are there: in memory or swapped. The zero page,
 * which lies where a hole was read, is among them: not every kernel tells it from others, and pagemap calls the huge
 * one a file's. 0 or -errno. */
int fsrv__pages_find(int pagemap, uintptr_t start, uintptr_t end, struct fsrv__list *runs);
/* The same in any mapping, of private pages that no other process shares. */
int fsrv__pages_find_own(int pagemap, uintptr_t start, uintptr_t end, struct fsrv__list *runs);

#endif
