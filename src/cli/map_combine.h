/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_COMBINE_H
#define FORKSERVER_CLI_MAP_COMBINE_H

/* All combinations of the values of several sources; the last source changes fastest. */

#include <stdbool.h>
#include <stddef.h>

#include "map_options.h"
#include "map_values.h"

struct map_combinations {
        size_t n;
        struct map_values *lists;
        size_t *at; /* which value of each list comes next */
        const char **next;
        bool ended;
};

/* Reads all sources. 0 or -errno with a complaint. To be given to map_combinations_done() in any case. */
int map_combinations_open(struct map_combinations *combinations, const struct map_options *options);
void map_combinations_done(struct map_combinations *combinations);
/* n values, which stay the list's, or NULL: that were all. */
const char *const *map_combinations_take(struct map_combinations *combinations);
long map_combinations_count(const struct map_combinations *combinations);

#endif
