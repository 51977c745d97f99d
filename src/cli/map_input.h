/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_INPUT_H
#define FORKSERVER_CLI_MAP_INPUT_H

/* The lines of a file or of standard input, read no further than asked for. */

#include <stdbool.h>
#include <stddef.h>

enum { MAP_ITEM_MAX = 16 * 1024 * 1024 };

struct map_input {
        int fd;
        char separator;
        char *buffer;
        size_t start, end, size;
        size_t most; /* the most bytes that a line or block may have */
        bool ended;
        unsigned long taken;
};

/* To be given to map_input_done() in any case. */
int map_input_open(struct map_input *input, const char *file, char separator);
void map_input_done(struct map_input *input);
/* 1 and a line, which the caller frees; 0: there is none in the buffer, fill it first; -ENODATA: no more; or another
 * errno with a complaint. */
int map_input_take(struct map_input *input, char **ret_line);
/* The same for a block of about `size` bytes, whole lines with what ends them; a longer line is a block of its own. */
int map_input_take_block(struct map_input *input, size_t size, char **ret_block, size_t *ret_size);
/* One read(2), which waits if nothing is there; a signal ends it. 0 or -errno with a complaint. */
int map_input_fill(struct map_input *input);
/* How many lines a regular file still has; -1: cannot be known. */
long map_input_count(const struct map_input *input);

#endif
