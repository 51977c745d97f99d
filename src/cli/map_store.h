/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_STORE_H
#define FORKSERVER_CLI_MAP_STORE_H

/* Bytes that wait to be shown: in memory while they are few, then in an unlinked file. All zero: an empty store. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct map_store {
        char *bytes;
        size_t n, size;
        int file; /* if has_file: what came when memory had no room any more */
        bool has_file;
        off_t file_size;
};

typedef int (*map_store_take)(void *data, const char *bytes, size_t n);

uint64_t map_store_size(const struct map_store *store);
/* 0; or -errno, and nothing of it is kept. */
int map_store_add(struct map_store *store, const char *bytes, size_t n);
/* Hands out what is kept, piece by piece. 0, -errno, or the first that `take` returned below 0. */
int map_store_each(const struct map_store *store, map_store_take take, void *data);
/* Empties it. */
void map_store_clear(struct map_store *store);

#endif
