/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_ITEMS_H
#define FORKSERVER_CLI_MAP_ITEMS_H

/* Where the items of forkserver map come from. */

#include "map_input.h"
#include "map_item.h"
#include "map_options.h"

struct map_items {
        const struct map_options *options;
        struct map_input input;
        unsigned long taken;
        struct map_item *given_back, **given_back_end; /* to be taken first */
};

int map_items_open(struct map_items *items, const struct map_options *options);
void map_items_done(struct map_items *items);
/* 1 and an item, which the caller frees; 0: there is none yet, fill first; -ENODATA: no more; or another errno with a
 * complaint. */
int map_items_take(struct map_items *items, struct map_item **ret_item);
/* It is taken once more, after others that were given back. */
void map_items_give_back(struct map_items *items, struct map_item *item);
/* One read(2), which waits if nothing is there; a signal ends it. 0 or -errno with a complaint. */
int map_items_fill(struct map_items *items);
/* How many there will be; -1: cannot be known. */
long map_items_count(const struct map_items *items);

#endif
