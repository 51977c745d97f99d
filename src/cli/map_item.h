/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_ITEM_H
#define FORKSERVER_CLI_MAP_ITEM_H

/* What one process of forkserver map is given. */

#include <stddef.h>

struct map_item {
        unsigned long index;  /* its turn among those that are run, from 0 */
        unsigned long number; /* among all, from 1 */
        unsigned long tries;  /* that were begun */
        size_t n_values;
        char **values;
        char *text; /* the values, as people and reports have them */
        struct map_item *next;
};

/* An item with a copy of the values. NULL: no memory. */
struct map_item *map_item_new(const char *const *values, size_t n);
void map_item_free(struct map_item *item);

#endif
