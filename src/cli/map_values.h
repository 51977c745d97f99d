/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_VALUES_H
#define FORKSERVER_CLI_MAP_VALUES_H

/* A list of strings that belong to it. */

#include <stddef.h>

struct map_values {
        char **list;
        size_t n, room;
};

/* Takes the value, also where it fails: -ENOMEM with a complaint. */
int map_values_add(struct map_values *values, char *value);
/* Drops the first n. */
void map_values_drop(struct map_values *values, size_t n);
void map_values_done(struct map_values *values);

#endif
