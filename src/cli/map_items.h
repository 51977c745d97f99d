/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_ITEMS_H
#define FORKSERVER_CLI_MAP_ITEMS_H

/* Where the items of forkserver map come from: lines or words, one or several an item, or combinations of them. */

#include "map_combine.h"
#include "map_fit.h"
#include "map_input.h"
#include "map_item.h"
#include "map_options.h"
#include "map_results.h"
#include "map_resume.h"
#include "map_values.h"

struct map_items {
        struct map_results *results; /* where they have files; NULL: nowhere */
        const struct map_options *options;
        struct map_input input; /* fd -1: not in use */
        struct map_combinations combinations;
        size_t next_word;          /* of the only source */
        unsigned long values;      /* that were taken from it */
        struct map_values pending; /* of an item that isn't complete */
        struct map_fit fit;
        bool exhausted; /* what is pending is the rest */
        size_t share;   /* how many of the rest an item gets; 0: not known yet */
        struct map_resume resume;
        unsigned long taken, numbered;
        struct map_item *given_back, **given_back_end; /* to be taken first */
};

/* To be given to map_items_done() in any case. */
int map_items_open(struct map_items *items, const struct map_options *options);
void map_items_done(struct map_items *items);
/* 1 and an item, which the caller frees; 0: there is none yet, fill first; -ENODATA: no more; or another errno with a
 * complaint. */
int map_items_take(struct map_items *items, struct map_item **ret_item);
/* It is taken once more, after others that were given back. */
void map_items_give_back(struct map_items *items, struct map_item *item);
/* One read(2), which waits if nothing is there; a signal ends it. 0 or -errno with a complaint. */
int map_items_fill(struct map_items *items);
/* How many of the slice there will be, with those that an earlier run has done; -1: cannot be known. */
long map_items_count(const struct map_items *items);

#endif
