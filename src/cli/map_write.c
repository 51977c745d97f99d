/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_write.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* Another process that shares our output may have made it non-blocking. 0: try again. */
static int wait_after_error(int to) {
        struct pollfd entry = { .fd = to, .events = POLLOUT };

        if (errno == EAGAIN)
                poll(&entry, 1, -1);
        else if (errno != EINTR)
                return -errno;
        return 0;
}

int map_write(int to, const char *bytes, size_t n) {
        static bool failed[STDERR_FILENO + 1];

        while (n > 0 && !failed[to]) {
                ssize_t k = write(to, bytes, n);
                int r = k < 0 ? wait_after_error(to) : 0;
                if (r < 0) {
                        failed[to] = true;
                        cli_complain("map: cannot write to standard %s: %s", to == STDOUT_FILENO ? "output" : "error",
                                     strerror(-r));
                        return r;
                }
                if (k > 0) {
                        bytes += k;
                        n -= (size_t)k;
                }
        }
        return 0;
}

int map_write_file(int fd, const char *bytes, size_t n) {
        while (n > 0) {
                ssize_t k = write(fd, bytes, n);
                if (k < 0 && errno != EINTR)
                        return -errno;
                if (k > 0) {
                        bytes += k;
                        n -= (size_t)k;
                }
        }
        return 0;
}

struct writer {
        int to;
        size_t n;
        char bytes[65536];
};

static int flush(struct writer *writer) {
        int r = map_write(writer->to, writer->bytes, writer->n);

        writer->n = 0;
        return r;
}

static int write_piece(struct writer *writer, const char *bytes, size_t n) {
        while (n > 0) {
                size_t room = sizeof writer->bytes - writer->n, k = n < room ? n : room;
                memcpy(writer->bytes + writer->n, bytes, k);
                writer->n += k;
                bytes += k;
                n -= k;
                int r = writer->n == sizeof writer->bytes ? flush(writer) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

int map_write_tagged(int to, const char *bytes, size_t n, const char *tag, bool *in_line) {
        static struct writer writer;
        const char *end = bytes + n;
        int r = 0;

        writer.to = to;
        writer.n = 0;
        while (bytes < end && r == 0) {
                const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
                const char *next = newline ? newline + 1 : end;
                if (!*in_line &&
                    ((r = write_piece(&writer, tag, strlen(tag))) < 0 || (r = write_piece(&writer, "\t", 1)) < 0))
                        return r;
                r = write_piece(&writer, bytes, (size_t)(next - bytes));
                *in_line = !newline;
                bytes = next;
        }
        return r < 0 ? r : flush(&writer);
}
