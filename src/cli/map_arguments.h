/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_ARGUMENTS_H
#define FORKSERVER_CLI_MAP_ARGUMENTS_H

/* The arguments of one process: those that map was given, with the item in its places: {} {.} {/} {//} {/.}, of the
 * second value {2} {2.} and so on, {#} the item's number, {%} the slot's. */

#include <stdbool.h>
#include <stddef.h>

#include "map_item.h"
#include "map_options.h"

/* Whether there is a place in it; of_values: one that takes a value. */
bool map_arguments_has_place(const char *arg, bool of_values);
/* The arguments for an item, NULL-terminated: one block, to be freed. NULL: no memory. */
char **map_arguments(const struct map_options *options, const struct map_item *item, unsigned long slot);
/* What they take of the room that execve(2) has for arguments. */
size_t map_arguments_size(const struct map_options *options, const char *const *values, size_t n);

#endif
