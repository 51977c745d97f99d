/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_items.h"

#include <errno.h>
#include <stdlib.h>

int map_items_open(struct map_items *items, const struct map_options *options) {
        *items = (struct map_items){ .options = options, .given_back_end = &items->given_back };
        return map_input_open(&items->input, options->file, options->separator);
}

void map_items_done(struct map_items *items) {
        map_input_done(&items->input);
        for (struct map_item *item; (item = items->given_back);) {
                items->given_back = item->next;
                map_item_free(item);
        }
}

static struct map_item *take_back(struct map_items *items) {
        struct map_item *item = items->given_back;

        items->given_back = item->next;
        if (!items->given_back)
                items->given_back_end = &items->given_back;
        item->next = NULL;
        return item;
}

int map_items_take(struct map_items *items, struct map_item **ret_item) {
        char *line;

        if (items->given_back) {
                *ret_item = take_back(items);
                return 1;
        }
        int r = map_input_take(&items->input, &line);
        if (r <= 0)
                return r;
        struct map_item *item = map_item_new((const char *const *)&line, 1);
        free(line);
        if (!item) {
                cli_complain("map: out of memory");
                return -ENOMEM;
        }
        item->index = items->taken++;
        *ret_item = item;
        return 1;
}

void map_items_give_back(struct map_items *items, struct map_item *item) {
        item->next = NULL;
        *items->given_back_end = item;
        items->given_back_end = &item->next;
}

int map_items_fill(struct map_items *items) {
        return map_input_fill(&items->input);
}

long map_items_count(const struct map_items *items) {
        return map_input_count(&items->input);
}
