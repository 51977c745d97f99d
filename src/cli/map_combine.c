/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_combine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "map_input.h"

static int read_file(struct map_values *values, const char *file, char separator) {
        struct map_input input;
        char *line;
        int r = map_input_open(&input, file, separator);

        while (r >= 0) {
                r = map_input_take(&input, &line);
                if (r == 0)
                        r = map_input_fill(&input);
                else if (r == 1)
                        r = map_values_add(values, line);
        }
        map_input_done(&input);
        return r == -ENODATA ? 0 : r;
}

static int read_source(struct map_values *values, const struct map_source *source, char separator) {
        int r = 0;

        if (source->file)
                return read_file(values, source->file, separator);
        for (size_t i = 0; i < source->n && r == 0; i++)
                r = map_values_add(values, strdup(source->words[i]));
        return r;
}

int map_combinations_open(struct map_combinations *combinations, const struct map_options *options) {
        size_t n = options->n_sources;
        int r = 0;

        *combinations = (struct map_combinations){
                .n = n,
                .lists = calloc(n, sizeof *combinations->lists),
                .at = calloc(n, sizeof *combinations->at),
                .next = calloc(n, sizeof *combinations->next),
        };
        if (!combinations->lists || !combinations->at || !combinations->next) {
                cli_complain("map: out of memory");
                return -ENOMEM;
        }
        for (size_t i = 0; i < n && r == 0; i++) {
                r = read_source(&combinations->lists[i], &options->sources[i], options->separator);
                combinations->ended |= combinations->lists[i].n == 0;
        }
        return r;
}

void map_combinations_done(struct map_combinations *combinations) {
        for (size_t i = 0; combinations->lists && i < combinations->n; i++)
                map_values_done(&combinations->lists[i]);
        free(combinations->lists);
        free(combinations->at);
        free(combinations->next);
}

const char *const *map_combinations_take(struct map_combinations *combinations) {
        if (combinations->ended)
                return NULL;
        for (size_t i = 0; i < combinations->n; i++)
                combinations->next[i] = combinations->lists[i].list[combinations->at[i]];
        size_t i = combinations->n;
        while (i > 0 && ++combinations->at[i - 1] == combinations->lists[i - 1].n)
                combinations->at[--i] = 0;
        combinations->ended = i == 0;
        return combinations->next;
}

long map_combinations_count(const struct map_combinations *combinations) {
        long count = 1;

        for (size_t i = 0; i < combinations->n; i++)
                if (__builtin_mul_overflow(count, (long)combinations->lists[i].n, &count))
                        return -1;
        return count;
}
