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

enum {
        WINDOW = 16, /* requests of one call that are on their way at a time */
        MANY_MAX = 65536,
};

static const struct fsrv__spawn_extra no_extra = FSRV_SPAWN_EXTRA_NONE;

static int check(const struct fsrv_request *request, struct fsrv_error *error) {
        if (!request->kind)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                       "the request names neither an entry point nor a program");
        if (request->new_session && request->has_group)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                       "a new session is a new process group too: the request cannot set both");
        return 0;
}

int fsrv__spawning_init(struct fsrv__spawning *s, struct fsrv_server *server, const struct fsrv_request *request,
                        const struct fsrv__spawn_extra *extra, struct fsrv_error *error) {
        *s = (struct fsrv__spawning){ .server = server,
                                      .request = request,
                                      .extra = extra,
                                      .error = error,
                                      .deadline = fsrv__deadline(request->spawn_timeout_ms),
                                      .memfd = -1,
                                      .answer = -1,
                                      .status = -1,
                                      .theirs = { -1, -1 },
                                      .pidfd = -1,
                                      .exec_pipe = -1 };
        return check(request, error);
}

/* Waits for one thing. What the next step comes to. */
static int wait_and_step(struct fsrv__spawning *s) {
        bool asks = !s->extra->until_ended || s->at == FSRV_SPAWNING_ACQUIRE;
        struct pollfd entry = { .fd = s->fd, .events = s->events };
        int64_t until = s->look_at < s->deadline ? s->look_at : s->deadline;
        int r = fsrv__poll(&entry, until, asks ? &s->server->interrupt : NULL);

        if (r == -EINTR)
                return fsrv__spawning_end(s, r);
        if (r < 0)
                return fsrv__fail(s->error, FSRV_STAGE_QUEUE, -r, "waiting for the fork server");
        return r == 0 && until == s->deadline ? fsrv__spawning_end(s, -ETIMEDOUT) : fsrv__spawning_step(s);
}

static int wait_to_the_end(struct fsrv__spawning *s, int r) {
        while (r == 1)
                r = wait_and_step(s);
        return r;
}

int fsrv__spawn_with(struct fsrv_server *server, const struct fsrv_request *request,
                     const struct fsrv__spawn_extra *extra, struct fsrv_process **ret_process, int *ret_status,
                     struct fsrv_error *error) {
        struct fsrv__spawning s;
        int r = fsrv__spawning_init(&s, server, request, extra, error);

        if (r < 0)
                return r;
        r = wait_to_the_end(&s, fsrv__spawning_step(&s));
        if (r == 0) {
                *ret_process = s.process;
                if (ret_status)
                        *ret_status = fsrv__fd_steal(&s.status);
        }
        fsrv__spawning_leave(&s);
        fsrv__spawning_done(&s);
        return r;
}

int fsrv_spawn(struct fsrv_server *server, const struct fsrv_request *request, struct fsrv_process **ret_process,
               struct fsrv_error *error) {
        return fsrv__spawn_with(server, request, &no_extra, ret_process, NULL, error);
}

int fsrv_run(struct fsrv_server *server, const struct fsrv_request *request, struct fsrv_status *ret_status,
             struct fsrv_error *error) {
        static const struct fsrv__spawn_extra to_its_end = { { -1, -1, -1 }, -1, false, true };
        struct fsrv_process *process;

        if (ret_status && ret_status->size != sizeof *ret_status)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "the size of struct fsrv_status");
        int r = fsrv__spawn_with(server, request, &to_its_end, &process, NULL, error);
        if (r < 0)
                return r;
        r = fsrv_process_wait(process, -1, ret_status, error);
        fsrv_process_unref(process);
        return r;
}

/* ---- many at once ---- */

/* What was prepared for the first does for all. */
static void share(struct fsrv__spawning *to, const struct fsrv__spawning *from) {
        to->bytes = from->bytes;
        to->size = from->size;
        to->memfd = from->memfd;
        to->tracker = from->tracker;
        to->user_fds = from->user_fds;
        to->n_user_fds = from->n_user_fds;
}

struct one {
        struct fsrv__spawning spawning;
        int result; /* of its last step */
};

static void step_first(struct fsrv__spawning *all, struct one *one) {
        one->spawning = *all;
        one->result = fsrv__spawning_step(&one->spawning);
        share(all, &one->spawning);
}

/* Hears of the oldest one. One that could not be asked for in the company of others is tried again, alone. */
static int settle(struct fsrv__spawning *all, struct one *one, struct fsrv_process **ret_process) {
        struct fsrv__spawning *s = &one->spawning;

        all->deadline = s->deadline = fsrv__deadline(all->request->spawn_timeout_ms);
        s->error = all->error;
        if (one->result < 0) {
                fsrv__spawning_leave(s);
                step_first(all, one);
        }
        int r = wait_to_the_end(s, one->result);
        share(all, s);
        if (r == 0)
                *ret_process = s->process;
        fsrv__spawning_leave(s);
        return r;
}

/* Of n equal requests so many are on their way at a time. The number of processes; *ret_error: the first failure. */
static size_t spawn_window(struct fsrv__spawning *all, struct one *window, size_t n,
                           struct fsrv_process **ret_processes, int *ret_error) {
        size_t asked = 0, heard = 0, made = 0;
        struct fsrv_error *error = all->error;
        int r = 0;

        while (heard < asked || (r == 0 && asked < n)) {
                bool is_on_its_way = true;

                all->error = NULL;
                while (r == 0 && is_on_its_way && asked < n && asked - heard < WINDOW) {
                        struct one *one = &window[asked++ % WINDOW];
                        step_first(all, one);
                        is_on_its_way = one->result == 1 && one->spawning.at >= FSRV_SPAWNING_HEAR;
                }
                all->error = r == 0 ? error : NULL;
                int result = settle(all, &window[heard++ % WINDOW], &ret_processes[made]);
                if (result == 0)
                        made++;
                else if (r == 0)
                        r = result;
        }
        *ret_error = r;
        return made;
}

int fsrv_spawn_many(struct fsrv_server *server, const struct fsrv_request *request, size_t n,
                    struct fsrv_process **ret_processes, struct fsrv_error *error) {
        struct fsrv__spawning all;
        size_t made = 0;

        if (n == 0 || n > MANY_MAX)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                       "%zu processes were asked for, 1 to %d are possible", n, MANY_MAX);
        int r = fsrv__spawning_init(&all, server, request, &no_extra, error);
        if (r < 0)
                return r;
        struct one *window = calloc(WINDOW, sizeof *window);
        if (!window)
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, ENOMEM, "room for %d requests", WINDOW);
        made = spawn_window(&all, window, n, ret_processes, &r);
        free(window);
        fsrv__spawning_done(&all);
        return r < 0 && made == 0 ? r : (int)made;
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
