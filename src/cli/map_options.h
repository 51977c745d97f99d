/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_OPTIONS_H
#define FORKSERVER_CLI_MAP_OPTIONS_H

/* What is asked of forkserver map: its options, and the arguments that become of them and an item. */

#include <stdbool.h>
#include <stddef.h>

#include "cli.h"
#include "map_item.h"

struct map_options {
        struct cli_target target;
        char **args;    /* of the program, or of the entry point */
        bool has_place; /* `{}` stands in one of them */
        unsigned long jobs;
        unsigned long halt; /* failures after which nothing is started any more; 0: never */
        char separator;
        const char *file; /* NULL: standard input */
        const char *json;
        bool ordered, tag, dry_run, ungroup, progress, quiet;
};

/* ---- map_arguments.c ---- */

/* The arguments for an item, NULL-terminated: one block, to be freed. NULL: no memory. */
char **map_arguments(const struct map_options *options, const struct map_item *item);

#endif
