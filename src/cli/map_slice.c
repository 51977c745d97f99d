/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_slice.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "cli.h"

static unsigned long parse_whole(const char *text, char **ret_end) {
        *ret_end = (char *)text;
        return isdigit((unsigned char)*text) ? strtoul(text, ret_end, 10) : 0;
}

int map_parse_slice(const char *text, struct map_slice *ret_slice) {
        struct map_slice slice = { 0 };
        char *end;

        slice.k = parse_whole(text, &end);
        if (*end == '/')
                slice.n = parse_whole(end + 1, &end);
        if (*end || slice.k < 1 || slice.k > slice.n || slice.n > 1000000000) {
                cli_complain("--slice: '%s' is not K/N, as 2/8: K is from 1 to N, and N at most 1000000000", text);
                return -EINVAL;
        }
        *ret_slice = slice;
        return 0;
}

bool map_slice_has(const struct map_slice *slice, unsigned long number) {
        return (number - 1) % slice->n == slice->k - 1;
}

long map_slice_count(const struct map_slice *slice, long items) {
        return items / (long)slice->n + (items % (long)slice->n >= (long)slice->k);
}
