/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_STDIN_H
#define FORKSERVER_CLI_MAP_STDIN_H

/* What an item's process reads, or has as its payload: the item itself, or a block of the input. */

#include "map_item.h"
#include "map_options.h"

/* An fd to read it from, in memory, so that nothing has to feed the process; or -errno. */
int map_stdin_new(const struct map_options *options, const struct map_item *item);
/* --block: "1M". 0, or -EINVAL with a complaint. */
int map_parse_block(const char *text, size_t *ret_size);

#endif
