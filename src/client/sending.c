/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/probe.h"
#include "client/request.h"
#include "client/sandbox.h"
#include "client/spawning.h"
#include "wire/messages.h"

/* The steps of a spawn that put the request on the doorbell. */

enum { ROOM_MS = 2 }; /* where there is nothing to poll for */

static int name_bad_fd(struct fsrv__spawning *s) {
        for (size_t i = 0; i < s->prepared->n_user_fds; i++)
                if (fsrv__fd_is_open(s->prepared->user_fds[i]) != 1)
                        return fsrv__fail_text(&s->error, FSRV_STAGE_FDS, EBADF, "fd %d of the caller is not open",
                                               s->prepared->user_fds[i]);
        return fsrv__fail(&s->error, FSRV_STAGE_FDS, EBADF, "an fd of the caller");
}

/* `r` is what sending at this socket came to. */
static int after_sending(struct fsrv__spawning *s, int sock, int r) {
        s->full = r;
        if (r == -EAGAIN)
                return fsrv__spawning_wait_for(s, sock, POLLOUT, FSRV_NEVER);
        if (fsrv__channel_is_short(r))
                return fsrv__spawning_wait_for(s, -1, 0, fsrv__deadline(ROOM_MS));
        switch (r) {
        case 0:
                return 0;
        case -EPIPE:
        case -ECONNRESET:
        case -ECONNREFUSED:
        case -ENOTCONN:
                return FSRV_STEP_SERVER_GONE;
        case -EBADF:
                return name_bad_fd(s);
        default:
                return fsrv__fail(&s->error, FSRV_STAGE_QUEUE, -r, "sending the request");
        }
}

static int put_message(struct fsrv__spawning *s, int sock, const void *bytes, size_t size, const int *fds,
                       size_t n_fds) {
        return after_sending(s, sock, fsrv__channel_send(sock, bytes, size, fds, n_fds, MSG_DONTWAIT));
}

/* To the zygote of the sandbox, if there is one. */
static int find_doorbell(struct fsrv__spawning *s) {
        const struct fsrv_sandbox *sandbox = s->prepared->request->sandbox;
        size_t size;

        if (!sandbox)
                sandbox = s->server->sandbox;
        if (!sandbox || s->locked)
                return 0;
        const void *bytes = fsrv__sandbox_get_bytes(sandbox, s->prepared->request->kind == FSRV_WIRE_PROGRAM, &size);
        int r = fsrv__sandbox_link_get(s->server, s->grip.link, bytes, size, s->theirs[0], &s->locked);
        return after_sending(s, s->grip.link->doorbell, r);
}

/* A directory that may not be searched can still be opened by its link in /proc. */
static int open_directory(void) {
        int fd = fsrv__open(".", O_PATH | O_DIRECTORY);

        return fd == -EACCES ? fsrv__open("/proc/self/cwd", O_PATH | O_DIRECTORY) : fd;
}

/* Each try has sockets of its own: what a process that ran nothing has left there must not show. */
static int make_sockets(struct fsrv__spawning *s) {
        int answer[2], r = fsrv__socketpair(answer);

        if (r < 0)
                return fsrv__fail(&s->error, FSRV_STAGE_ARGUMENT, -r, "a socket for the answer");
        s->answer = answer[0];
        s->theirs[0] = answer[1];
        int status[2] = { -1, -1 };
        if (s->prepared->extra->wants_status && (r = fsrv__streampair(status)) < 0)
                return fsrv__fail(&s->error, FSRV_STAGE_ARGUMENT, -r, "a socket for the status");
        s->status = status[0];
        s->theirs[1] = status[1];
        int result[2] = { -1, -1 };
        if (s->prepared->flags & FSRV_SPAWN_RESULT && (r = fsrv__socketpair(result)) < 0)
                return fsrv__fail(&s->error, FSRV_STAGE_ARGUMENT, -r, "a socket for the result");
        s->result = result[0];
        s->theirs[2] = result[1];
        return 0;
}

static int put_request(struct fsrv__spawning *s, int directory) {
        const int slots[FSRV_SLOTS] = {
                [FSRV_SLOT_ANSWER] = s->theirs[0],
                [FSRV_SLOT_DOORBELL] = fsrv__spawning_doorbell(s),
                [FSRV_SLOT_LIFELINE] = s->grip.lifeline,
                [FSRV_SLOT_DIRECTORY] = directory,
                [FSRV_SLOT_STATUS] = s->theirs[1],
                [FSRV_SLOT_TRACKER] = s->prepared->tracker,
                [FSRV_SLOT_BODY] = s->prepared->memfd,
                [FSRV_SLOT_RESULT] = s->theirs[2],
                [FSRV_SLOT_PAYLOAD] = s->prepared->payload_fd,
        };
        int fds[FSRV_WIRE_FDS_MAX];
        size_t n_fds = fsrv__message_pack(FSRV_TABLE_DOORBELL, s->prepared->bytes, slots, s->prepared->user_fds, fds);

        return put_message(s, fsrv__spawning_doorbell(s), s->prepared->bytes, s->prepared->size, fds, n_fds);
}

enum { HANG_UP_MS = 20 };

static int await_answer(struct fsrv__spawning *s) {
        s->at = FSRV_SPAWNING_HEAR;
        if (!s->prepared->extra->until_ended)
                return fsrv__spawning_wait_for(s, s->answer, POLLIN, FSRV_NEVER);
        /* Waits until the other end is closed everywhere, by the server as the last. With no events asked for, poll(2)
         * wakes for a hang-up, not for a message. All answers are in the queue then, STARTED first. This has a limit,
         * as a child that another thread has just forked may hold the other end as well. */
        return fsrv__spawning_wait_for(s, s->answer, 0, fsrv__deadline(HANG_UP_MS));
}

int fsrv__spawning_send(struct fsrv__spawning *s) {
        int r = s->answer < 0 ? make_sockets(s) : 0;

        if (r == 0)
                r = find_doorbell(s);
        if (r != 0)
                return r;
        FSRV_CLEANUP_FD int directory = open_directory();
        if (directory < 0)
                return fsrv__fail(&s->error, FSRV_STAGE_DIRECTORY, -directory, "the working directory");
        r = put_request(s, directory);
        if (r != 0)
                return r;
        FSRV_PROBE(spawn_request, s->answer, s->prepared->size);
        fsrv__fds_close(s->theirs, 3);
        s->n_sent = fsrv__prepared_head(s->prepared)->n_fds_here;
        s->death.type = 0;
        s->loads = false;
        if (s->n_sent == s->prepared->n_user_fds)
                return await_answer(s);
        s->at = FSRV_SPAWNING_SEND_MORE;
        return FSRV_STEP_GO_ON;
}

int fsrv__spawning_send_more(struct fsrv__spawning *s) {
        while (s->n_sent < s->prepared->n_user_fds) {
                size_t n = s->prepared->n_user_fds - s->n_sent;
                if (n > FSRV_WIRE_FDS_MAX)
                        n = FSRV_WIRE_FDS_MAX;
                const struct fsrv__wire_more more = { .type = FSRV_WIRE_MORE_FDS, .n_fds = (uint32_t)n };
                int r = put_message(s, s->answer, &more, sizeof more, s->prepared->user_fds + s->n_sent, n);
                if (r == FSRV_STEP_SERVER_GONE)
                        break; /* the other end has closed; its answer is read next */
                if (r != 0)
                        return r;
                s->n_sent += n;
        }
        return await_answer(s);
}
