/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/sigpipe.h"
#include "base/wait.h"
#include "forkserver.h"

enum { CHUNK = 64 << 10 };

/* ---- its input ---- */

/* Our end of a pipe has an open file description of its own, so this changes no other process's reads and writes. */
static bool set_nonblocking(int fd, bool on) {
        int flags = fd < 0 ? 0 : fcntl(fd, F_GETFL);

        if (fd < 0 || flags < 0)
                return false;
        fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
        return !(flags & O_NONBLOCK);
}

static ssize_t write_quietly(int fd, const char *bytes, size_t n) {
        struct fsrv__sigpipe sigpipe;

        fsrv__sigpipe_hold(&sigpipe);
        ssize_t r = write(fd, bytes, n);
        if (r < 0)
                r = -errno;
        fsrv__sigpipe_release(&sigpipe, r == -EPIPE);
        return r;
}

/* A process that does not read all of its input may be content, as head(1) is. */
static int write_input(int *fd, struct fsrv_communication *c, struct fsrv_error *error) {
        size_t left = c->input_size - c->input_taken;
        ssize_t n = left ? write_quietly(*fd, (const char *)c->input + c->input_taken, left) : 0;

        if (n == -EAGAIN || n == -EINTR)
                return 0;
        if (n < 0 && n != -EPIPE && n != -ECONNRESET)
                return fsrv__fail(error, FSRV_STAGE_STATUS, (int)-n, "writing the input of the process");
        if (n > 0)
                c->input_taken += (size_t)n;
        if (n < 0 || c->input_taken == c->input_size)
                *fd = fsrv__fd_close(*fd);
        return 0;
}

/* ---- its output ---- */

/* Makes room for one more chunk, which may be kept or not, and a NUL. */
static int make_room(struct fsrv_output *o) {
        size_t needed = o->size + CHUNK + 1, room = o->room ? o->room : CHUNK + 1;

        if (o->room >= needed)
                return 0;
        while (room < needed)
                room = room > SIZE_MAX / 2 ? SIZE_MAX : room * 2;
        char *bytes = realloc(o->bytes, room);
        if (!bytes && room > needed)
                bytes = realloc(o->bytes, room = needed);
        if (!bytes)
                return -ENOMEM;
        o->bytes = bytes;
        o->room = room;
        return 0;
}

static void keep_output(struct fsrv_output *o, size_t n) {
        size_t kept = o->limit && o->limit - o->size < n ? o->limit - o->size : n;

        o->size += kept;
        o->dropped += n - kept;
        o->bytes[o->size] = 0;
}

static int read_output(int *fd, struct fsrv_output *o, const char *what, struct fsrv_error *error) {
        if (make_room(o) < 0)
                return fsrv__fail(error, FSRV_STAGE_STATUS, ENOMEM, "room for the %s of the process", what);
        ssize_t n = read(*fd, o->bytes + o->size, CHUNK);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return 0;
        if (n < 0)
                return fsrv__fail(error, FSRV_STAGE_STATUS, errno, "reading the %s of the process", what);
        keep_output(o, (size_t)n);
        if (n == 0)
                *fd = fsrv__fd_close(*fd);
        return 0;
}

/* ---- both ---- */

static bool has_ended(struct fsrv_process *process) {
        int r;

        do
                r = fsrv_process_wait(process, 0, NULL, NULL);
        while (r > 0); /* the caller hears of stops another time */
        return r != -ETIMEDOUT;
}

/* Waits until something can be done. Once there is nothing more to read, the end of the process is the end of its input
 * too: another process may have inherited the input and never read it. */
static int wait_for_streams(struct fsrv_process *process, const int fds[3], struct pollfd entries[4], int64_t deadline,
                            struct fsrv_error *error) {
        int end = fds[1] < 0 && fds[2] < 0 ? fsrv_process_get_poll_fd(process) : -1;

        for (int i = 0; i < 3; i++)
                entries[i] = (struct pollfd){ .fd = fds[i], .events = i == 0 ? POLLOUT : POLLIN };
        entries[3] = (struct pollfd){ .fd = end, .events = POLLIN };
        int r = fsrv__poll_all(entries, 4, deadline, NULL);
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_STATUS, -r, "waiting for the output of the process") : 0;
}

static int transfer_streams(struct fsrv_process *process, int fds[3], struct fsrv_communication *c, int64_t deadline,
                            struct fsrv_error *error) {
        struct pollfd entries[4];
        int r = 0;

        while (r == 0 && (fds[0] >= 0 || fds[1] >= 0 || fds[2] >= 0)) {
                r = wait_for_streams(process, fds, entries, deadline, error);
                if (r == 0 && entries[1].revents)
                        r = read_output(&fds[1], &c->output, "output", error);
                if (r == 0 && entries[2].revents)
                        r = read_output(&fds[2], &c->error, "error output", error);
                if (r == 0 && entries[0].revents)
                        r = write_input(&fds[0], c, error);
                if (r == 0 && entries[3].revents && has_ended(process))
                        fds[0] = fsrv__fd_close(fds[0]);
                /* the deadline also holds where there is always something to read */
                if (r == 0 && fsrv__now() >= deadline)
                        break;
        }
        if (r == 0 && (fds[0] >= 0 || fds[1] >= 0 || fds[2] >= 0))
                return fsrv__fail_text(error, FSRV_STAGE_STATUS, ETIMEDOUT,
                                       "process %d, or another that holds its streams, still uses them",
                                       (int)fsrv_process_get_pid(process));
        return r;
}

int fsrv_communicate(struct fsrv_process *process, int fds[3], struct fsrv_communication *c, int timeout_ms,
                     struct fsrv_error *error) {
        int64_t deadline = fsrv__deadline(timeout_ms);

        if (c->size != sizeof *c)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "the size of struct fsrv_communication");
        if ((c->input_size > 0 && !c->input) || c->input_taken > c->input_size)
                return fsrv__fail_text(
                        error, FSRV_STAGE_ARGUMENT, EINVAL,
                        "the input of a struct fsrv_communication: it is NULL, or more than all is taken");
        bool was_blocking = set_nonblocking(fds[0], true);
        int r = transfer_streams(process, fds, c, deadline, error);
        if (was_blocking)
                set_nonblocking(fds[0], false);
        if (r < 0)
                return r;
        c->status.size = sizeof c->status;
        do
                r = fsrv_process_wait(process, fsrv__left(deadline), &c->status, error);
        while (r > 0);
        return r;
}

void fsrv_communication_free(struct fsrv_communication *c) {
        free(c->output.bytes);
        free(c->error.bytes);
        c->output = (struct fsrv_output){ .limit = c->output.limit };
        c->error = (struct fsrv_output){ .limit = c->error.limit };
        c->input_taken = 0;
}
