/* SPDX-License-Identifier: MIT */
#include "wire/attributes_codec.h"

#include <errno.h>

/* A list is there only where its bit is set. */
static bool has_wrong_lists(const struct fsrv__wire_attributes *a) {
        if (a->affinity_size > FSRV_WIRE_AFFINITY_MAX || a->affinity_size % 8 || a->n_groups > FSRV_WIRE_GROUPS_MAX ||
            a->title_size > FSRV_TITLE_SIZE)
                return true;
        return !(a->mask & FSRV_ATTRIBUTE_AFFINITY) != (a->affinity_size == 0) ||
               !(a->mask & FSRV_ATTRIBUTE_TITLE) != (a->title_size == 0) ||
               (!(a->mask & FSRV_ATTRIBUTE_GROUPS) && a->n_groups > 0);
}

int fsrv__attributes_check(const struct fsrv__wire_attributes *a, size_t size, uint32_t n_fds, size_t *ret_size) {
        if (size < sizeof *a || a->mask & ~FSRV_WIRE_ATTRIBUTES || a->mask & FSRV_ATTRIBUTE_CGROUP || a->reserved ||
            a->terminal_is_stdin > 1 || a->dumpable > 1 || has_wrong_lists(a))
                return -EPROTO;
        if (a->limits >> FSRV_WIRE_LIMITS || !(a->mask & FSRV_ATTRIBUTE_LIMITS) != (a->limits == 0))
                return -EPROTO;
        if (fsrv__attributes_size(a) > size || fsrv__attributes_count_fds(a) > n_fds)
                return -EPROTO;
        if (a->title_size && fsrv__attributes_title(a)[a->title_size - 1] != 0)
                return -EPROTO;
        *ret_size = fsrv__attributes_size(a);
        return 0;
}
