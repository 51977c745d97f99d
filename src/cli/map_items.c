/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_items.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

static int no_memory(void) {
        cli_complain("map: out of memory");
        return -ENOMEM;
}

static bool is_words(const struct map_options *options) {
        return options->n_sources == 1 && !options->sources[0].file;
}

int map_items_open(struct map_items *items, const struct map_options *options) {
        *items = (struct map_items){ .options = options, .input.fd = -1, .given_back_end = &items->given_back };
        map_fit_init(&items->fit, options);
        int r = options->resume ? map_resume_open(&items->resume, options->json) : 0;
        if (r < 0)
                return r;
        if (options->n_sources > 1)
                return map_combinations_open(&items->combinations, options);
        if (is_words(options))
                return 0;
        return map_input_open(&items->input, options->n_sources ? options->sources[0].file : NULL, options->separator);
}

void map_items_done(struct map_items *items) {
        map_input_done(&items->input);
        map_combinations_done(&items->combinations);
        map_values_done(&items->pending);
        map_resume_done(&items->resume);
        for (struct map_item *item; (item = items->given_back);) {
                items->given_back = item->next;
                map_item_free(item);
        }
}

/* ---- values, and how many of them make an item ---- */

static int take_any_value(struct map_items *items, char **ret_value) {
        if (!is_words(items->options))
                return map_input_take(&items->input, ret_value);
        const struct map_source *source = items->options->sources;
        if (items->next_word == source->n)
                return -ENODATA;
        *ret_value = strdup(source->words[items->next_word++]);
        return *ret_value ? 1 : no_memory();
}

/* With -X a slice is of values: how many make an item depends on the jobs of each run. */
static int take_value(struct map_items *items, char **ret_value) {
        const struct map_options *options = items->options;
        int r;

        while ((r = take_any_value(items, ret_value)) == 1 && ++items->values && options->fill &&
               !map_slice_has(&options->slice, items->values))
                free(*ret_value);
        return r;
}

static bool is_enough(const struct map_items *items) {
        return items->exhausted || items->pending.n >= items->options->max_values || items->fit.taken > items->fit.room;
}

/* 1: enough is there, or all that there is; 0: fill first; or -errno. */
static int collect(struct map_items *items) {
        while (!is_enough(items)) {
                char *value;
                int r = take_value(items, &value);
                if (r == -ENODATA) {
                        items->exhausted = true;
                        break;
                }
                if (r <= 0)
                        return r;
                if (items->options->max_values > 1)
                        items->fit.taken += map_fit_size(items->options, value);
                r = map_values_add(&items->pending, value);
                if (r < 0)
                        return r;
        }
        return 1;
}

static void drop_values(struct map_items *items, size_t n) {
        for (size_t i = 0; i < n && items->options->max_values > 1; i++)
                items->fit.taken -= map_fit_size(items->options, items->pending.list[i]);
        map_values_drop(&items->pending, n);
}

/* With -X the rest is for all slots, so that none is idle while one has much to do. */
static size_t share_of_rest(struct map_items *items) {
        if (!items->options->fill || !items->exhausted)
                return SIZE_MAX;
        if (!items->share)
                items->share = (items->pending.n + items->options->jobs - 1) / items->options->jobs;
        return items->share;
}

static int take_group(struct map_items *items, struct map_item **ret_item) {
        int r = collect(items);

        if (r <= 0)
                return r;
        size_t n = items->pending.n, share = share_of_rest(items);
        if (n == 0)
                return -ENODATA;
        if (n > 1 && items->fit.taken > items->fit.room)
                n--; /* the last one is too much; alone it is its own fault if it is too long */
        if (n > share)
                n = share;
        *ret_item = map_item_new((const char *const *)items->pending.list, n);
        drop_values(items, n);
        return *ret_item ? 1 : no_memory();
}

static int take_combination(struct map_items *items, struct map_item **ret_item) {
        const char *const *values = map_combinations_take(&items->combinations);

        if (!values)
                return -ENODATA;
        *ret_item = map_item_new(values, items->combinations.n);
        return *ret_item ? 1 : no_memory();
}

static int take_block(struct map_items *items, struct map_item **ret_item) {
        char *block;
        size_t size;
        int r = map_input_take_block(&items->input, items->options->block, &block, &size);

        if (r <= 0)
                return r;
        *ret_item = map_item_new_block(block, size, items->numbered + 1);
        return *ret_item ? 1 : no_memory();
}

/* ---- items ---- */

static struct map_item *take_back(struct map_items *items) {
        struct map_item *item = items->given_back;

        items->given_back = item->next;
        if (!items->given_back)
                items->given_back_end = &items->given_back;
        item->next = NULL;
        return item;
}

/* The next one, whether or not an earlier run has done it. */
static int take_new(struct map_items *items, struct map_item **ret_item) {
        int r;

        if (items->options->block)
                r = take_block(items, ret_item);
        else if (items->options->n_sources > 1)
                r = take_combination(items, ret_item);
        else
                r = take_group(items, ret_item);
        if (r == 1)
                (*ret_item)->number = ++items->numbered;
        return r;
}

/* Those that an earlier run has done have names as well, which are not for others. */
static int take_named(struct map_items *items, struct map_item **ret_item) {
        int r = take_new(items, ret_item);

        if (r != 1 || !items->results || map_results_name(items->results, *ret_item) == 0)
                return r;
        map_item_free(*ret_item);
        return no_memory();
}

static bool is_left_out(struct map_items *items, const struct map_item *item) {
        const struct map_options *options = items->options;

        return (!options->fill && !map_slice_has(&options->slice, item->number)) ||
               map_resume_take(&items->resume, item);
}

int map_items_take(struct map_items *items, struct map_item **ret_item) {
        int r;

        if (items->given_back) {
                *ret_item = take_back(items);
                return 1;
        }
        while ((r = take_named(items, ret_item)) == 1 && is_left_out(items, *ret_item))
                map_item_free(*ret_item);
        if (r == 1)
                (*ret_item)->index = items->taken++;
        if (r == 1)
                (*ret_item)->took = cli_trace_now();
        return r;
}

void map_items_give_back(struct map_items *items, struct map_item *item) {
        item->next = NULL;
        *items->given_back_end = item;
        items->given_back_end = &item->next;
}

int map_items_fill(struct map_items *items) {
        return map_input_fill(&items->input);
}

static long count_all(const struct map_items *items) {
        const struct map_options *options = items->options;

        if (options->n_sources > 1)
                return map_combinations_count(&items->combinations);
        if (options->block || options->fill)
                return -1;
        long values = is_words(options) ? (long)options->sources[0].n : map_input_count(&items->input);
        return values < 0 ? -1 : (values + (long)options->max_values - 1) / (long)options->max_values;
}

long map_items_count(const struct map_items *items) {
        long count = count_all(items);

        return count < 0 ? -1 : map_slice_count(&items->options->slice, count);
}
