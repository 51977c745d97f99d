/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_COMMAND_H
#define FORKSERVER_CLI_MAP_COMMAND_H

/* Command lines for people: a shell reads them as the same words. */

#include <stdio.h>

#include "map_item.h"
#include "map_options.h"

void map_print_command(FILE *out, char *const *words);
/* The item's on standard error, in one write. */
void map_say_command(const struct map_options *options, const struct map_item *item, unsigned long slot);

#endif
