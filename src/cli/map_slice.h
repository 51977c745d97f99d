/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_SLICE_H
#define FORKSERVER_CLI_MAP_SLICE_H

/* A part of the items, where several runs share one list: every n-th, from the k-th on. */

#include <stdbool.h>

struct map_slice {
        unsigned long k, n;
};

/* --slice K/N. 0, or -EINVAL with a complaint. */
int map_parse_slice(const char *text, struct map_slice *ret_slice);
/* Whether the item with this number, from 1, belongs to it. */
bool map_slice_has(const struct map_slice *slice, unsigned long number);
/* How many of so many items belong to it. */
long map_slice_count(const struct map_slice *slice, long items);

#endif
