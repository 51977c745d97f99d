/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"

#include <stdlib.h>
#include <string.h>

static bool has_place(const char *arg) {
        return strstr(arg, "{}") != NULL;
}

static size_t filled_size(const char *arg, size_t item) {
        size_t size = strlen(arg) + 1;

        for (const char *c = arg; (c = strstr(c, "{}")); c += 2)
                size += item;
        return size;
}

static char *fill(char *at, const char *arg, const char *item, size_t n) {
        const char *place;

        while ((place = strstr(arg, "{}"))) {
                at = mempcpy(at, arg, (size_t)(place - arg));
                at = mempcpy(at, item, n);
                arg = place + 2;
        }
        return stpcpy(at, arg) + 1;
}

char **map_arguments(const struct map_options *options, const struct map_item *item) {
        const char *text = item->text;
        size_t n = 0, item_size = strlen(text), size = 0;

        for (; options->args[n]; n++)
                size += filled_size(options->args[n], item_size);
        char **list = malloc((n + 3) * sizeof *list + size);
        if (!list)
                return NULL;
        char *at = (char *)(list + n + 3);
        size_t k = 0;
        if (options->target.entry)
                list[k++] = (char *)options->target.entry;
        for (size_t i = 0; i < n; i++) {
                list[k++] = at;
                /* the program's own name stays as it is */
                bool literal = i == 0 && !options->target.entry;
                at = literal || !has_place(options->args[i]) ? stpcpy(at, options->args[i]) + 1
                                                             : fill(at, options->args[i], text, item_size);
        }
        if (!options->has_place)
                list[k++] = (char *)text;
        list[k] = NULL;
        return list;
}
