/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_RESUME_H
#define FORKSERVER_CLI_MAP_RESUME_H

/* Which items an earlier run's report says have succeeded. */

#include <stdbool.h>
#include <stddef.h>

#include "map_item.h"

struct map_success;

struct map_resume {
        struct map_success *table; /* NULL: none */
        size_t n, size;
};

/* Reads the report; none is there before the first run. 0 or -errno with a complaint. To be given to map_resume_done()
 * in any case. */
int map_resume_open(struct map_resume *resume, const char *path);
void map_resume_done(struct map_resume *resume);
/* Whether the item has succeeded. One success is good for one item, where there are several of the same. */
bool map_resume_take(struct map_resume *resume, const struct map_item *item);

#endif
