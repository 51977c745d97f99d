/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/sigpipe.h"
#include "client/handle.h"

/* The resource tracker (src/tracker/): a program at the other end of a pipe, to which every message is one line in one
 * write, so that the lines of all writers stay whole. */

enum { LINE_MAX_BYTES = 512, NAME_MAX_BYTES = 255, TRIES = 3, WRITE_LIMIT_MS = 10000 };

/* ---- the lines ---- */

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

/* Whether any version of CPython's tracker understands it as it is. */
static bool is_simple(const char *name) {
        for (; *name; name++)
                if ((unsigned char)*name > 127 || *name == '\n')
                        return false;
        return true;
}

/* The number of bytes. */
static size_t make_line(const char *command, const char *type, const char *name, char ret_line[LINE_MAX_BYTES]) {
        char encoded[(NAME_MAX_BYTES + 2) / 3 * 4 + 1];
        int n;

        if (is_simple(name)) {
                n = snprintf(ret_line, LINE_MAX_BYTES, "%s:%s:%s\n", command, name, type);
        } else {
                encode_base64(name, strlen(name), encoded);
                n = snprintf(ret_line, LINE_MAX_BYTES, "{\"cmd\":\"%s\",\"rtype\":\"%s\",\"base64_name\":\"%s\"}\n",
                             command, type, encoded);
        }
        return (size_t)n; /* it fits: the longest name of each kind makes less than 420 bytes */
}

static int check(const char *type, const char *name, struct fsrv_error *error) {
        static const char *const types[] = { FSRV_RESOURCE_SEMAPHORE, FSRV_RESOURCE_SHARED_MEMORY,
                                             FSRV_RESOURCE_DUMMY };
        size_t i = 0;

        while (type && i < sizeof types / sizeof *types && strcmp(types[i], type) != 0)
                i++;
        if (!type || i == sizeof types / sizeof *types)
                return fsrv__fail_text(error, FSRV_STAGE_TRACKER, EINVAL, "the resource tracker knows no type '%s'",
                                       type ? type : "(null)");
        if (!name || !name[0])
                return fsrv__fail_text(error, FSRV_STAGE_TRACKER, EINVAL, "the name of the %s is %s", type,
                                       name ? "empty" : "NULL");
        if (strlen(name) > NAME_MAX_BYTES)
                return fsrv__fail_text(error, FSRV_STAGE_TRACKER, ENAMETOOLONG,
                                       "the name of the %s has more than %d bytes: '%.20s...'", type, NAME_MAX_BYTES,
                                       name);
        return 0;
}

/* ---- telling it ---- */

/* Without waiting, though the pipe is one that waits, and is so for all who share it. Where the kernel cannot (pipes:
 * before Linux 6.4) the caller's look at the pipe has to do. */
static ssize_t write_now(int fd, const char *line, size_t n) {
        struct iovec part = { .iov_base = (void *)line, .iov_len = n };
        ssize_t r = pwritev2(fd, &part, 1, -1, RWF_NOWAIT);

        if (r < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == EPERM))
                r = write(fd, line, n);
        return r < 0 ? -errno : r;
}

static int write_line(int fd, const char *line, size_t n) {
        int64_t deadline = fsrv__deadline(WRITE_LIMIT_MS);

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

static int write_line_quietly(int fd, const char *line, size_t n) {
        struct fsrv__sigpipe sigpipe;

        fsrv__sigpipe_hold(&sigpipe);
        int r = write_line(fd, line, n);
        fsrv__sigpipe_release(&sigpipe, r == -EPIPE);
        return r;
}

static int tell(struct fsrv_server *s, const char *line, size_t n, struct fsrv_error *error) {
        int r = -EPIPE;

        for (int tries = 0; r == -EPIPE && tries < TRIES; tries++) {
                int fd = fsrv__server_need_tracker(s, error);
                if (fd < 0)
                        return fd;
                r = write_line_quietly(fd, line, n);
        }
        if (r == -ETIMEDOUT)
                return fsrv__fail_text(error, FSRV_STAGE_TRACKER, ETIMEDOUT,
                                       "the resource tracker does not listen: its pipe was full for %d s",
                                       WRITE_LIMIT_MS / 1000);
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_TRACKER, -r, "telling the resource tracker") : 0;
}

/* NULL is the default handle. */
static int resolve(struct fsrv_server **s, struct fsrv_error *error) {
        return *s ? 0 : fsrv_server_default(s, error);
}

static int tell_of(struct fsrv_server *s, const char *command, const char *type, const char *name,
                   struct fsrv_error *error) {
        char line[LINE_MAX_BYTES];
        int r = check(type, name, error);

        if (r == 0)
                r = resolve(&s, error);
        return r < 0 ? r : tell(s, line, make_line(command, type, name, line), error);
}

int fsrv_tracker_register(struct fsrv_server *s, const char *type, const char *name, struct fsrv_error *error) {
        return tell_of(s, "REGISTER", type, name, error);
}

int fsrv_tracker_unregister(struct fsrv_server *s, const char *type, const char *name, struct fsrv_error *error) {
        return tell_of(s, "UNREGISTER", type, name, error);
}

int fsrv_tracker_probe(struct fsrv_server *s, struct fsrv_error *error) {
        static const char line[] = "PROBE:0:noop\n";
        int r = resolve(&s, error);

        return r < 0 ? r : tell(s, line, sizeof line - 1, error);
}

int fsrv_tracker_get_fd(struct fsrv_server *s, struct fsrv_error *error) {
        int r = resolve(&s, error);

        return r < 0 ? r : fsrv__server_need_tracker(s, error);
}

int fsrv_tracker_set_fd(struct fsrv_server *s, int fd, struct fsrv_error *error) {
        int r = resolve(&s, error);

        if (r < 0)
                return r;
        int flags = fcntl(fd, F_GETFL), copy = fsrv__fd_dup_above(fd, 3);
        if (copy < 0)
                return fsrv__fail(error, FSRV_STAGE_TRACKER, -copy, "fd %d", fd);
        if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) {
                fsrv__fd_close(copy);
                return fsrv__fail_text(error, FSRV_STAGE_TRACKER, EBADF, "fd %d cannot be written to", fd);
        }
        pthread_mutex_lock(&s->lock);
        r = fsrv__server_install_tracker(s, copy);
        pthread_mutex_unlock(&s->lock);
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_TRACKER, -r, "the fd of the resource tracker") : 0;
}
