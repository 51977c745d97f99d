/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_FIT_H
#define FORKSERVER_CLI_MAP_FIT_H

/* What execve(2) has room for: how many values fit into the arguments of one process. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map_options.h"

struct map_fit {
        size_t room;  /* for values */
        size_t taken; /* by those that wait */
};

void map_fit_init(struct map_fit *fit, const struct map_options *options);
/* More than any room: such a value is its own fault, and fails alone. */
#define MAP_FIT_NEVER (SIZE_MAX / 2)
/* What a value adds to the arguments, whatever stands beside it. */
size_t map_fit_size(const struct map_options *options, const char *value);

#endif
