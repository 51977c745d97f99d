/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_input.h"
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int no_memory(void) {
        cli_complain("map: out of memory");
        return -ENOMEM;
}

int map_input_open(struct map_input *input, const char *file, char separator) {
        *input = (struct map_input){ .separator = separator, .size = 65536, .most = MAP_ITEM_MAX };
        input->fd = file && strcmp(file, "-") != 0 ? open(file, O_RDONLY | O_CLOEXEC)
                                                   : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (input->fd < 0) {
                int err = errno;
                cli_complain("map: cannot read %s: %s", file ? file : "standard input", strerror(err));
                return -err;
        }
        input->buffer = malloc(input->size);
        return input->buffer ? 0 : no_memory();
}

void map_input_done(struct map_input *input) {
        if (input->fd >= 0)
                close(input->fd);
        free(input->buffer);
}

int map_input_take(struct map_input *input, char **ret_line) {
        size_t n = input->end - input->start;

        char *from = input->buffer + input->start, *end = n ? memchr(from, input->separator, n) : NULL;
        if (!end && !input->ended)
                return 0;
        if (!end && n == 0)
                return -ENODATA;
        size_t length = end ? (size_t)(end - from) : n; /* the last line needs no newline */
        input->taken++;
        if (memchr(from, 0, length)) {
                cli_complain("map: line %lu of the input has a NUL byte in it (use -0?)", input->taken);
                return -EINVAL;
        }
        char *line = strndup(from, length);
        if (!line)
                return no_memory();
        input->start += length + (end != NULL);
        *ret_line = line;
        return 1;
}

int map_input_take_block(struct map_input *input, size_t size, char **ret_block, size_t *ret_size) {
        const char *from = input->buffer + input->start, *end = NULL;
        size_t n = input->end - input->start;

        input->most = 2 * size + MAP_ITEM_MAX;
        if (n < size && !input->ended)
                return 0;
        if (n == 0)
                return -ENODATA;
        if (n > size) {
                end = memrchr(from, input->separator, size);
                if (!end)
                        end = memchr(from + size, input->separator, n - size);
                if (!end && !input->ended)
                        return 0;
        } else if (!input->ended && !(end = memrchr(from, input->separator, n)))
                return 0;
        n = end ? (size_t)(end + 1 - from) : n;
        char *block = malloc(n);
        if (!block)
                return no_memory();
        *ret_block = memcpy(block, from, n);
        *ret_size = n;
        input->start += n;
        input->taken++;
        return 1;
}

int map_input_fill(struct map_input *input) {
        size_t n = input->end - input->start;

        if (n >= input->most) {
                cli_complain("map: item %lu of the input is longer than %zu MiB", input->taken + 1, input->most >> 20);
                return -E2BIG;
        }
        if (input->start)
                memmove(input->buffer, input->buffer + input->start, n);
        input->start = 0;
        input->end = n;
        if (n + 32768 > input->size) {
                size_t size = input->size * 2;
                char *buffer = realloc(input->buffer, size);
                if (!buffer)
                        return no_memory();
                input->buffer = buffer;
                input->size = size;
        }
        ssize_t k = read(input->fd, input->buffer + n, input->size - n);
        if (k < 0 && (errno == EINTR || errno == EAGAIN))
                return 0;
        if (k < 0) {
                int err = errno;
                cli_complain("map: cannot read the input: %s", strerror(err));
                return -err;
        }
        input->end += (size_t)k;
        input->ended = k == 0;
        return 0;
}

long map_input_count(const struct map_input *input) {
        static char bytes[65536]; /* the stack may be small */
        char last = input->separator;
        struct stat st;
        off_t at = lseek(input->fd, 0, SEEK_CUR);
        long count = 0;
        ssize_t n;

        if (at < 0 || fstat(input->fd, &st) < 0 || !S_ISREG(st.st_mode))
                return -1;
        while ((n = pread(input->fd, bytes, sizeof bytes, at)) > 0) {
                for (ssize_t i = 0; i < n; i++)
                        count += bytes[i] == input->separator;
                last = bytes[n - 1];
                at += n;
        }
        return n < 0 ? -1 : count + (last != input->separator);
}
