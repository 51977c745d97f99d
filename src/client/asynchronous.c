/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "client/spawning.h"

/* A spawn in steps that an event loop takes. One epoll holds what the spawn waits for now, and a timer. */

struct fsrv_spawn_handle {
        struct fsrv__prepared prepared;
        struct fsrv__spawning spawning;
        int poll_fd;
        int timer;
        int watched; /* in the epoll besides the timer; -1 */
        bool is_sharing;
};

/* All spawns that wait for a launch or a doorbell share one fd, and epoll(7) takes no more than some hundred ways from
 * a file to its watchers. So a few spawns are woken, and the others look. */
enum { SHARERS_MAX = 32, LOOK_MS = 20 };

static atomic_int sharers;

/* This comes before a step, which may close the fd. If a forked child has the fd too, it would stay in the epoll. */
static void unwatch_spawn(struct fsrv_spawn_handle *h) {
        if (h->watched >= 0)
                epoll_ctl(h->poll_fd, EPOLL_CTL_DEL, h->watched, NULL);
        if (h->is_sharing)
                atomic_fetch_sub(&sharers, 1);
        h->is_sharing = false;
        h->watched = -1;
}

static bool may_watch(struct fsrv_spawn_handle *h) {
        if (h->spawning.at != FSRV_SPAWNING_ACQUIRE && h->spawning.at != FSRV_SPAWNING_SEND)
                return true;
        h->is_sharing = atomic_fetch_add(&sharers, 1) < SHARERS_MAX;
        if (!h->is_sharing)
                atomic_fetch_sub(&sharers, 1);
        return h->is_sharing;
}

static void watch_spawn(struct fsrv_spawn_handle *h) {
        struct epoll_event event = { .events = (uint32_t)h->spawning.events };
        int64_t soon;

        if (h->spawning.fd < 0)
                return;
        if (may_watch(h) && epoll_ctl(h->poll_fd, EPOLL_CTL_ADD, h->spawning.fd, &event) == 0) {
                h->watched = h->spawning.fd;
                return;
        }
        soon = fsrv__deadline(LOOK_MS);
        if (soon < h->spawning.look_at)
                h->spawning.look_at = soon;
}

static int set_timer(const struct fsrv_spawn_handle *h) {
        const struct fsrv__spawning *s = &h->spawning;
        int64_t until = s->look_at < s->deadline ? s->look_at : s->deadline;
        struct itimerspec timer = { 0 };

        if (until != FSRV_NEVER) {
                int64_t left = until - fsrv__now();
                timer.it_value.tv_sec = left > 0 ? left / 1000 : 0;
                timer.it_value.tv_nsec = left > 0 ? left % 1000 * 1000000 + 1 : 1; /* 0 would be never */
        }
        return timerfd_settime(h->timer, 0, &timer, NULL) < 0 ? -errno : 0;
}

static void free_handle(struct fsrv_spawn_handle *h) {
        unwatch_spawn(h);
        fsrv__spawning_leave(&h->spawning);
        fsrv__prepared_done(&h->prepared);
        fsrv__fd_close(h->poll_fd);
        fsrv__fd_close(h->timer);
        free(h);
}

static int make_fds(struct fsrv_spawn_handle *h) {
        struct epoll_event event = { .events = EPOLLIN };

        h->poll_fd = fsrv__fd_raise(epoll_create1(EPOLL_CLOEXEC));
        h->timer = fsrv__fd_raise(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
        if (h->poll_fd < 0 || h->timer < 0 || epoll_ctl(h->poll_fd, EPOLL_CTL_ADD, h->timer, &event) < 0)
                return -errno;
        return 0;
}

/* `r` is what the last step came to; 1 has to be waited for. Returns it, or a failure. */
static int prepare_to_wait(struct fsrv_spawn_handle *h, int r) {
        if (r != 1)
                return r;
        watch_spawn(h);
        r = set_timer(h);
        return r < 0 ? fsrv__fail(&h->spawning.error, FSRV_STAGE_QUEUE, -r, "a timer for the spawn") : 1;
}

/* Hands the spawn's error out, and frees the handle. */
static int fail_with_handle(struct fsrv_spawn_handle *h, int r, struct fsrv_error *error) {
        if (error)
                *error = h->spawning.error;
        free_handle(h);
        return r;
}

int fsrv_spawn_start(struct fsrv_server *server, const struct fsrv_request *request,
                     struct fsrv_spawn_handle **ret_handle, struct fsrv_error *error) {
        static const struct fsrv__spawn_extra none = FSRV_SPAWN_EXTRA_NONE;
        struct fsrv_spawn_handle *h = calloc(1, sizeof *h);

        if (!h)
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, ENOMEM, "a spawn");
        h->poll_fd = h->timer = h->watched = -1;
        int r = fsrv__prepared_init(&h->prepared, request, &none, error);
        fsrv__spawning_init(&h->spawning, server, &h->prepared);
        if (r == 0 && (r = make_fds(h)) < 0)
                fsrv__fail(error, FSRV_STAGE_ARGUMENT, -r, "an fd to poll");
        if (r < 0) {
                free_handle(h);
                return r;
        }
        r = prepare_to_wait(h, fsrv__spawning_step(&h->spawning));
        if (r < 0)
                return fail_with_handle(h, r, error);
        *ret_handle = h;
        return 0;
}

int fsrv_spawn_get_poll_fd(const struct fsrv_spawn_handle *h) {
        return h->poll_fd;
}

int fsrv_spawn_finish(struct fsrv_spawn_handle *h, struct fsrv_process **ret_process, struct fsrv_error *error) {
        struct fsrv__spawning *s = &h->spawning;

        unwatch_spawn(h);
        int r = fsrv__spawning_step(s);
        if (r == 1 && fsrv__now() >= s->deadline)
                r = fsrv__spawning_end(s, -ETIMEDOUT);
        r = prepare_to_wait(h, r);
        if (r == 1)
                return 1;
        if (r < 0)
                return fail_with_handle(h, r, error);
        *ret_process = s->process;
        free_handle(h);
        return 0;
}

int fsrv_spawn_cancel(struct fsrv_spawn_handle *h) {
        int r = fsrv__spawning_cancel(&h->spawning);

        free_handle(h);
        return r;
}
