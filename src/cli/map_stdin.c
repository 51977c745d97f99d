/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_stdin.h"
#include "map_write.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* As they stood in the input: each with what ends it. A payload is no text: what ends the last one is left out. */
static int write_values(int fd, const struct map_item *item, const struct map_options *options) {
        int r = 0;

        for (size_t i = 0; i < item->n_values && r == 0; i++) {
                r = map_write_file(fd, item->values[i], strlen(item->values[i]));
                if (r == 0 && (options->to_stdin || i + 1 < item->n_values))
                        r = map_write_file(fd, &options->separator, 1);
        }
        return r;
}

int map_stdin_new(const struct map_options *options, const struct map_item *item) {
        int fd = memfd_create("item", MFD_CLOEXEC);

        if (fd < 0)
                return -errno;
        int r = item->block ? map_write_file(fd, item->block, item->block_size) : write_values(fd, item, options);
        if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
                r = -errno;
        if (r < 0)
                close(fd);
        return r < 0 ? r : fd;
}

int map_parse_block(const char *text, size_t *ret_size) {
        static const char units[] = "kmgKMG";
        const unsigned long most = 1ul << 30;
        char *end;
        unsigned long size = strtoul(text, &end, 10);
        const char *unit = *end ? strchr(units, *end) : NULL;

        if (size <= most && unit && !end[1])
                size <<= 10 * ((unit - units) % 3 + 1);
        else if (*end)
                size = 0;
        if (!isdigit((unsigned char)*text) || size == 0 || size > most) {
                cli_complain("--block: '%s' is not a size up to 1G, as 65536, 64k or 1M", text);
                return -EINVAL;
        }
        *ret_size = size;
        return 0;
}
