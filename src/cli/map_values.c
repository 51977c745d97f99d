/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

int map_values_add(struct map_values *values, char *value) {
        if (value && values->n == values->room) {
                size_t room = values->room ? values->room * 2 : 16;
                char **grown = reallocarray(values->list, room, sizeof *grown);
                if (grown) {
                        values->list = grown;
                        values->room = room;
                }
        }
        if (!value || values->n == values->room) {
                free(value);
                cli_complain("map: out of memory");
                return -ENOMEM;
        }
        values->list[values->n++] = value;
        return 0;
}

void map_values_drop(struct map_values *values, size_t n) {
        if (!n)
                return;
        for (size_t i = 0; i < n; i++)
                free(values->list[i]);
        values->n -= n;
        memmove(values->list, values->list + n, values->n * sizeof *values->list);
}

void map_values_done(struct map_values *values) {
        map_values_drop(values, values->n);
        free(values->list);
        *values = (struct map_values){ 0 };
}
