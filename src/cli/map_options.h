/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_OPTIONS_H
#define FORKSERVER_CLI_MAP_OPTIONS_H

/* What is asked of forkserver map: its options, the items, and the arguments that become of them. */

#include <stdbool.h>
#include <stddef.h>

#include "cli.h"

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

/* ---- map_input.c: items, read no further than asked for ---- */

enum { MAP_ITEM_MAX = 16 * 1024 * 1024 };

struct map_input {
        int fd;
        char separator;
        char *buffer;
        size_t start, end, size;
        bool ended;
        unsigned long taken;
        char *next; /* an item that was taken and given back */
};

int map_input_open(struct map_input *input, const char *file, char separator);
void map_input_done(struct map_input *input);
/* 1 and the item, which the caller frees; 0: there is none in the buffer, fill it first; -ENODATA: no more; or another
 * errno with a complaint. */
int map_input_take(struct map_input *input, char **ret_item);
void map_input_give_back(struct map_input *input, char *item);
/* One read(2), which waits if nothing is there; a signal ends it. 0 or -errno with a complaint. */
int map_input_fill(struct map_input *input);
/* How many items a regular file still has; -1: cannot be known. */
long map_input_count(const struct map_input *input);

/* ---- map_arguments.c ---- */

/* The arguments for an item, NULL-terminated: one block, to be freed. NULL: no memory. */
char **map_arguments(const struct map_options *options, const char *item);

#endif
