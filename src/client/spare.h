/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_SPARE_H
#define FSRV_CLIENT_SPARE_H

#include <stddef.h>
#include <stdint.h>

/* Large private memory that a copy of this process, as by fork(2), has no use for. To copy its page tables takes long,
 * and each page that is written to afterwards costs a page fault. */

#define FSRV_SPARED_MAX 64

struct fsrv__spared {
        size_t n;
        struct {
                uintptr_t start, end;
        } range[FSRV_SPARED_MAX];
};

/* Leaves it out of copies (MADV_DONTFORK), but for the mappings in which the `needed` addresses lie. No other thread
 * may fork meanwhile. */
void fsrv__spare(struct fsrv__spared *ret_spared, const void *const *needed, size_t n_needed);
void fsrv__spare_no_more(const struct fsrv__spared *spared);

#endif
