/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

/* ---- where output waits: in files, so that our memory stays bounded ---- */

static int make_file(const char *directory) {
        char path[4096];
        int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) /* not every file system has O_TMPFILE */
                return fd < 0 ? -errno : fd;
        if (snprintf(path, sizeof path, "%s/forkserver-XXXXXX", directory) >= (int)sizeof path)
                return -ENAMETOOLONG;
        fd = mkostemp(path, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        unlink(path);
        return fd;
}

int map_output_new(void) {
        const char *directory = getenv("TMPDIR");

        if (!directory || !directory[0])
                directory = "/tmp";
        int fd = make_file(directory);
        if (fd < 0)
                cli_complain("map: cannot make a file for output in %s: %s", directory, strerror(-fd));
        return fd;
}

/* ---- how it gets out ---- */

/* Nobody asked for it, but who shares our output may have made it non-blocking. 0: try again. */
static int wait_after_error(int to) {
        struct pollfd entry = { .fd = to, .events = POLLOUT };

        if (errno == EAGAIN)
                poll(&entry, 1, -1);
        else if (errno != EINTR)
                return -errno;
        return 0;
}

static int write_all(int to, const char *bytes, size_t n) {
        while (n > 0) {
                ssize_t k = write(to, bytes, n);
                int r = k < 0 ? wait_after_error(to) : 0;
                if (r < 0)
                        return r;
                if (k > 0) {
                        bytes += k;
                        n -= (size_t)k;
                }
        }
        return 0;
}

static int copy_by_hand(int to, int from, off_t at) {
        char bytes[65536];
        ssize_t n;

        while ((n = pread(from, bytes, sizeof bytes, at)) > 0) {
                int r = write_all(to, bytes, (size_t)n);
                if (r < 0)
                        return r;
                at += n;
        }
        return n < 0 ? -errno : 0;
}

static int copy_plain(int to, int from) {
        off_t at = 0;
        ssize_t n;

        while ((n = sendfile(to, from, &at, 1 << 20)) != 0) {
                if (n > 0)
                        continue;
                if (errno == EINVAL || errno == ENOSYS) /* what sendfile(2) cannot do, as files open for appending */
                        return copy_by_hand(to, from, at);
                int r = wait_after_error(to);
                if (r < 0)
                        return r;
        }
        return 0;
}

struct writer {
        int to;
        size_t n;
        char bytes[65536];
};

static int flush(struct writer *writer) {
        int r = write_all(writer->to, writer->bytes, writer->n);

        writer->n = 0;
        return r;
}

static int put(struct writer *writer, const char *bytes, size_t n) {
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

/* Lines of any length. The last one gets its newline if it has none, lest it become one with another item's. */
static int copy_tagged(int to, int from, const char *tag) {
        struct writer writer = { .to = to };
        char bytes[65536];
        bool in_line = false;
        off_t at = 0;
        ssize_t n;
        int r = 0;

        for (; (n = pread(from, bytes, sizeof bytes, at)) > 0; at += n) {
                const char *line = bytes, *end = bytes + n;
                while (line < end && r == 0) {
                        const char *newline = memchr(line, '\n', (size_t)(end - line));
                        const char *next = newline ? newline + 1 : end;
                        if (!in_line && ((r = put(&writer, tag, strlen(tag))) < 0 || (r = put(&writer, "\t", 1)) < 0))
                                return r;
                        r = put(&writer, line, (size_t)(next - line));
                        in_line = !newline;
                        line = next;
                }
                if (r < 0)
                        return r;
        }
        if (n < 0)
                return -errno;
        if (in_line && (r = put(&writer, "\n", 1)) < 0)
                return r;
        return flush(&writer);
}

int map_output_copy(int to, int from, const char *tag) {
        return tag ? copy_tagged(to, from, tag) : copy_plain(to, from);
}

bool map_output_is_unread(void) {
        struct pollfd entry = { .fd = STDOUT_FILENO };

        return poll(&entry, 1, 0) == 1 && entry.revents & POLLERR;
}
