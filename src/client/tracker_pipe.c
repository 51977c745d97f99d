/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "client/tracker_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/sigpipe.h"

/* ---- a line ---- */

static void encode_base64(const char *name, size_t n, char *ret_text) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        const unsigned char *bytes = (const unsigned char *)name;

        for (size_t i = 0; i < n; i += 3) {
                size_t here = n - i < 3 ? n - i : 3;
                unsigned bits = (unsigned)bytes[i] << 16;
                bits |= (here > 1 ? bytes[i + 1] : 0u) << 8 | (here > 2 ? bytes[i + 2] : 0u);
                for (size_t k = 0; k < 4; k++)
                        *ret_text++ = k <= here ? digits[bits >> (18 - 6 * k) & 63] : '=';
        }
        *ret_text = 0;
}

/* Whether every version of CPython's tracker understands the name as it is. */
static bool is_simple(const char *name) {
        for (; *name; name++)
                if ((unsigned char)*name > 127 || *name == '\n')
                        return false;
        return true;
}

size_t fsrv__tracker_make_line(const char *command, const char *type, const char *name,
                               char ret_line[FSRV_TRACKER_LINE_MAX]) {
        char encoded[(FSRV_TRACKER_NAME_MAX + 2) / 3 * 4 + 1];
        int n;

        if (is_simple(name)) {
                n = snprintf(ret_line, FSRV_TRACKER_LINE_MAX, "%s:%s:%s\n", command, name, type);
        } else {
                encode_base64(name, strlen(name), encoded);
                n = snprintf(ret_line, FSRV_TRACKER_LINE_MAX,
                             "{\"cmd\":\"%s\",\"rtype\":\"%s\",\"base64_name\":\"%s\"}\n", command, type, encoded);
        }
        return (size_t)n; /* it fits: the longest name of each kind makes less than 420 bytes */
}

/* ---- writing it ---- */

/* Writes without waiting to a pipe that is a waiting one for all processes that share it. Where the kernel cannot do so
 * (before Linux 6.4) the caller's look at the pipe has to do. */
static ssize_t write_now(int fd, const char *line, size_t n) {
        struct iovec part = { .iov_base = (void *)line, .iov_len = n };
        ssize_t r = pwritev2(fd, &part, 1, -1, RWF_NOWAIT);

        if (r < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == EPERM))
                r = write(fd, line, n);
        return r < 0 ? -errno : r;
}

static int write_line(int fd, const char *line, size_t n, int64_t deadline) {
        for (;;) {
                struct pollfd entry = { .fd = fd, .events = POLLOUT };
                int ready = poll(&entry, 1, fsrv__left(deadline));

                if (ready == 0)
                        return -ETIMEDOUT;
                ssize_t r = ready < 0 ? -errno : write_now(fd, line, n);
                if (r >= 0)
                        return (size_t)r == n ? 0 : -EIO;
                if (r != -EINTR && r != -EAGAIN)
                        return (int)r;
        }
}

int fsrv__tracker_write_line(int fd, const char *line, size_t n, int64_t deadline) {
        struct fsrv__sigpipe sigpipe;

        fsrv__sigpipe_hold(&sigpipe);
        int r = write_line(fd, line, n, deadline);
        fsrv__sigpipe_release(&sigpipe, r == -EPIPE);
        return r;
}

/* ---- its number ---- */

bool fsrv__tracker_has_reader(int fd) {
        struct pollfd entry = { .fd = fd };

        return fd >= 0 && poll(&entry, 1, 0) == 0;
}

void fsrv__tracker_keep_number(int number) {
        int ends[2];

        if (number < 0 || fsrv__fd_is_open(number) == 1 || pipe2(ends, O_CLOEXEC) < 0)
                return;
        if (ends[0] == number || ends[1] != number)
                dup3(ends[1], number, O_CLOEXEC);
        if (ends[0] != number)
                close(ends[0]);
        if (ends[1] != number)
                close(ends[1]);
}

int fsrv__tracker_put_under(int number, int fd) {
        int r;

        do
                r = dup3(fd, number, O_CLOEXEC) < 0 ? -errno : 0;
        while (r == -EINTR || r == -EBUSY);
        fsrv__fd_close(fd);
        return r;
}
