/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/wait.h"
#include "client/request.h"
#include "client/spawn.h"
#include "client/spawning.h"

enum {
        WINDOW = 16, /* requests of one call that are on their way at a time */
        MANY_MAX = 65536,
};

static const struct fsrv__spawn_extra no_extra = FSRV_SPAWN_EXTRA_NONE;

/* Waits for one thing, and takes the next step. Returns what that comes to. */
static int wait_and_step(struct fsrv__spawning *s) {
        bool asks = !s->prepared->extra->until_ended || s->at == FSRV_SPAWNING_ACQUIRE;
        struct pollfd entry = { .fd = s->fd, .events = s->events };
        int64_t until = s->look_at < s->deadline ? s->look_at : s->deadline;
        int r = fsrv__poll(&entry, until, asks ? &s->server->interrupt : NULL);

        if (r == -EINTR)
                return fsrv__spawning_end(s, r);
        if (r < 0)
                return fsrv__fail(&s->error, FSRV_STAGE_QUEUE, -r, "waiting for the fork server");
        return r == 0 && until == s->deadline ? fsrv__spawning_end(s, -ETIMEDOUT) : fsrv__spawning_step(s);
}

/* `r` is what its last step came to. */
static int wait_to_the_end(struct fsrv__spawning *s, int r) {
        while (r == 1)
                r = wait_and_step(s);
        return r;
}

/* ---- one ---- */

int fsrv__spawn_with(struct fsrv_server *server, const struct fsrv_request *request,
                     const struct fsrv__spawn_extra *extra, struct fsrv_process **ret_process, int *ret_status,
                     struct fsrv_error *error) {
        struct fsrv__prepared prepared;
        struct fsrv__spawning s;
        int r = fsrv__prepared_init(&prepared, request, extra, error);

        if (r < 0)
                return r;
        fsrv__spawning_init(&s, server, &prepared);
        r = wait_to_the_end(&s, fsrv__spawning_step(&s));
        if (r == 0)
                *ret_process = s.process;
        else if (error)
                *error = s.error;
        if (r == 0 && ret_status)
                *ret_status = fsrv__fd_steal(&s.status);
        fsrv__spawning_leave(&s);
        fsrv__prepared_done(&prepared);
        return r;
}

int fsrv_spawn(struct fsrv_server *server, const struct fsrv_request *request, struct fsrv_process **ret_process,
               struct fsrv_error *error) {
        return fsrv__spawn_with(server, request, &no_extra, ret_process, NULL, error);
}

int fsrv_run(struct fsrv_server *server, const struct fsrv_request *request, struct fsrv_status *ret_status,
             struct fsrv_error *error) {
        struct fsrv__spawn_extra extra = FSRV_SPAWN_EXTRA_NONE;
        struct fsrv_process *process;

        if (ret_status && ret_status->size != sizeof *ret_status)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "the size of struct fsrv_status");
        extra.until_ended = true;
        int r = fsrv__spawn_with(server, request, &extra, &process, NULL, error);
        if (r < 0)
                return r;
        r = fsrv_process_wait(process, -1, ret_status, error);
        fsrv_process_unref(process);
        return r;
}

/* ---- many at once ---- */

struct one {
        struct fsrv__spawning spawning;
        int result; /* of its last step */
};

/* Equal requests, of which so many are on their way at a time. */
struct many {
        struct fsrv_server *server;
        struct fsrv__prepared prepared;
        size_t n, asked, heard, made;
        struct fsrv_process **processes;
        int result; /* 0, or the first failure */
        struct fsrv_error error;
        struct one window[WINDOW];
};

static void begin_one(struct many *many, struct one *one) {
        fsrv__spawning_init(&one->spawning, many->server, &many->prepared);
        one->result = fsrv__spawning_step(&one->spawning);
}

/* As many as go without waiting. */
static void ask_for_more(struct many *many) {
        bool is_on_its_way = true;

        while (is_on_its_way && many->asked < many->n && many->asked - many->heard < WINDOW) {
                struct one *one = &many->window[many->asked++ % WINDOW];
                begin_one(many, one);
                is_on_its_way = one->result == 1 && one->spawning.at >= FSRV_SPAWNING_HEAR;
        }
}

/* A request that failed in the company of others is tried again, alone. */
static void hear_oldest(struct many *many) {
        struct one *one = &many->window[many->heard++ % WINDOW];
        struct fsrv__spawning *s = &one->spawning;

        if (one->result < 0) {
                fsrv__spawning_leave(s);
                begin_one(many, one);
        }
        s->deadline = fsrv__deadline(many->prepared.request->spawn_timeout_ms);
        int r = wait_to_the_end(s, one->result);
        if (r == 0) {
                many->processes[many->made++] = s->process;
        } else if (many->result == 0) {
                many->result = r;
                many->error = s->error;
        }
        fsrv__spawning_leave(s);
}

int fsrv_spawn_many(struct fsrv_server *server, const struct fsrv_request *request, size_t n,
                    struct fsrv_process **ret_processes, struct fsrv_error *error) {
        if (n == 0 || n > MANY_MAX)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "%zu processes, where 1 to %d can be had", n,
                                       MANY_MAX);
        struct many *many = calloc(1, sizeof *many);
        if (!many)
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, ENOMEM, "room for %d requests", WINDOW);
        many->server = server;
        many->n = n;
        many->processes = ret_processes;
        many->result = fsrv__prepared_init(&many->prepared, request, &no_extra, &many->error);
        while (many->heard < many->asked || (many->result == 0 && many->asked < n)) {
                if (many->result == 0)
                        ask_for_more(many);
                hear_oldest(many);
        }
        int r = many->made ? (int)many->made : many->result;
        if (many->result < 0 && error)
                *error = many->error;
        fsrv__prepared_done(&many->prepared);
        free(many);
        return r;
}

/* ---- none ---- */

int fsrv_server_wait_ready(struct fsrv_server *server, int timeout_ms, struct fsrv_error *error) {
        char name[] = "whether it is ready";
        struct fsrv_request probe = {
                .kind = FSRV_WIRE_PROBE, .name = name, .umask = 0, .has_ignored = true, .spawn_timeout_ms = timeout_ms
        };
        struct fsrv_process *none;

        return fsrv_spawn(server, &probe, &none, error);
}
