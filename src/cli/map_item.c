/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_item.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One block: the item, the list of values, the values, and all of them with blanks between. */
struct map_item *map_item_new(const char *const *values, size_t n) {
        size_t size = 1;

        for (size_t i = 0; i < n; i++)
                size += strlen(values[i]) + 1;
        struct map_item *item = malloc(sizeof *item + n * sizeof *item->values + 2 * size);
        if (!item)
                return NULL;
        *item = (struct map_item){ .n_values = n, .values = (char **)(item + 1) };
        char *at = (char *)(item->values + n);
        item->text = at + size;
        char *text = item->text;
        *text = 0;
        for (size_t i = 0; i < n; i++) {
                item->values[i] = at;
                at = stpcpy(at, values[i]) + 1;
                text = stpcpy(i ? stpcpy(text, " ") : text, values[i]);
        }
        return item;
}

struct map_item *map_item_new_block(char *block, size_t size, unsigned long number) {
        enum { TEXT_SIZE = 32 };
        struct map_item *item = malloc(sizeof *item + TEXT_SIZE);

        if (!item) {
                free(block);
                return NULL;
        }
        *item = (struct map_item){ .text = (char *)(item + 1), .block = block, .block_size = size };
        snprintf(item->text, TEXT_SIZE, "block %lu", number);
        return item;
}

void map_item_free(struct map_item *item) {
        if (item)
                free(item->block);
        free(item);
}
