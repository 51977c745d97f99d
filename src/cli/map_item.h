/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_ITEM_H
#define FORKSERVER_CLI_MAP_ITEM_H

/* What one process of forkserver map is given. */

#include <stddef.h>
#include <stdint.h>

struct map_result;

struct map_item {
        unsigned long index;  /* its turn among those that are run, from 0 */
        unsigned long number; /* among all, from 1 */
        unsigned long tries;  /* that were begun */
        int64_t took;         /* for --trace: when it was taken from the input */
        size_t n_values;
        char **values;
        char *text;  /* the values, as people and reports have them */
        char *block; /* with --pipe: what it reads, instead of values; malloc's */
        size_t block_size;
        const char *file;          /* with --result: where its result goes; map_results.c's */
        struct map_result *failed; /* of the last try, while it waits for the next */
        struct map_item *next;
};

/* An item with a copy of the values. NULL: no memory. */
struct map_item *map_item_new(const char *const *values, size_t n);
/* One without values, which is shown as "block N". Takes the block, also where it fails. NULL: no memory. */
struct map_item *map_item_new_block(char *block, size_t size, unsigned long number);
void map_item_free(struct map_item *item);

#endif
