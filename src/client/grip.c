/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "client/grip.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "client/launch.h"
#include "client/tracker_pipe.h"

enum { LOOK_MS = 5 }; /* where there is nothing to poll for: a named server's backlog, another thread that begins */

/* A forked child gets a lifeline and a /proc/self/status of its own. Those of the handle are its parent's. */
static int become_owner(struct fsrv_server *s, struct fsrv_error *error) {
        pid_t self = getpid();
        int ends[2];

        if (s->owner == self)
                return 0;
        fsrv__launch_abandon(s); /* the C library's fork() has done so already, but there are other ways to fork */
        int r = fsrv__pipe(ends);
        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_START, -r, "the lifeline");
        fsrv__fd_close(s->lifeline_read);
        fsrv__fd_close(s->lifeline_write);
        fsrv__fd_close(s->proc_status);
        s->lifeline_read = ends[0];
        s->lifeline_write = ends[1];
        s->anchor = 0; /* a child of our parent's */
        s->proc_status = fsrv__open("/proc/self/status", O_RDONLY);
        s->owner = self;
        return 0;
}

static unsigned find_lacking(const struct fsrv_server *s, unsigned needs) {
        unsigned lacking = 0;

        if (needs & FSRV_NEEDS_SERVER && !s->link)
                lacking |= FSRV_NEEDS_SERVER;
        if (needs & FSRV_NEEDS_TRACKER && !fsrv__tracker_has_reader(s->tracker))
                lacking |= FSRV_NEEDS_TRACKER;
        return lacking;
}

/* 0, or the failure of the launch. The failure is ours too if we need all that the launch was to bring. */
static int take_result(struct fsrv__launch **launch, unsigned *needs, struct fsrv_error *error) {
        int r = (*launch)->brings & ~*needs ? 0 : (*launch)->result;

        if ((*launch)->has_tracker)
                *needs &= ~(unsigned)FSRV_NEEDS_TRACKER; /* a tracker that dies at once must not be started for ever */
        if (r < 0 && error)
                *error = (*launch)->error;
        *launch = fsrv__launch_unref(*launch);
        return r;
}

static void fill_grip(struct fsrv_server *s, struct fsrv__grip *grip) {
        if (s->link)
                atomic_fetch_add(&s->link->references, 1);
        *grip = (struct fsrv__grip){ s->link, s->lifeline_read, s->proc_status, s->tracker };
}

static int take_launch_on(struct fsrv_server *s, unsigned needs, struct fsrv__launch **launch,
                          struct fsrv_error *error) {
        int r = needs & FSRV_NEEDS_SERVER ? become_owner(s, error) : 0;

        while (r == 0) {
                if (*launch && (*launch)->state == FSRV_LAUNCH_ENDED && (r = take_result(launch, &needs, error)) < 0)
                        break;
                unsigned lacking = find_lacking(s, needs);
                if (!lacking)
                        break;
                if (!*launch)
                        fsrv__launch_drop_forgotten(s);
                if (!s->launch && (r = fsrv__launch_new(s, lacking, error)) < 0)
                        break;
                if (!*launch)
                        *launch = fsrv__launch_ref(s->launch);
                fsrv__launch_advance(s, *launch);
                if ((*launch)->state != FSRV_LAUNCH_ENDED)
                        r = 1;
        }
        return r;
}

int fsrv__server_try(struct fsrv_server *s, unsigned needs, struct fsrv__pending *pending, struct fsrv__grip *ret_grip,
                     struct fsrv_error *error) {
        pthread_mutex_lock(&s->lock);
        int r = take_launch_on(s, needs, &pending->launch, error);
        if (r == 0)
                fill_grip(s, ret_grip);
        if (r == 1)
                pending->look_at = pending->launch->state == FSRV_LAUNCH_ASKED ? pending->launch->deadline
                                                                               : fsrv__deadline(LOOK_MS);
        pthread_mutex_unlock(&s->lock);
        return r;
}

void fsrv__server_try_no_more(struct fsrv_server *s, struct fsrv__pending *pending) {
        if (!pending->launch)
                return;
        pthread_mutex_lock(&s->lock);
        pending->launch = fsrv__launch_unref(pending->launch);
        pthread_mutex_unlock(&s->lock);
}

static int await_launch(const struct fsrv_server *s, unsigned needs, const struct fsrv__pending *pending,
                        int64_t deadline, const struct fsrv__interrupt *interrupt, struct fsrv_error *error) {
        struct pollfd entry = { .fd = pending->launch->changed, .events = POLLIN };
        int r = fsrv__poll(&entry, pending->look_at < deadline ? pending->look_at : deadline, interrupt);

        if (r == -EINTR)
                return fsrv__interrupted(error, FSRV_STAGE_START);
        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_START, -r, "waiting for the server");
        if (r > 0 || fsrv__now() < deadline)
                return 0;
        if (!(needs & FSRV_NEEDS_SERVER))
                return fsrv__fail_text(error, FSRV_STAGE_TRACKER, ETIMEDOUT,
                                       "the resource tracker was not started in time");
        return fsrv__launch_time_out(s, error);
}

static int acquire_needs(struct fsrv_server *s, unsigned needs, int64_t deadline,
                         const struct fsrv__interrupt *interrupt, struct fsrv__grip *ret_grip,
                         struct fsrv_error *error) {
        struct fsrv__pending pending = { 0 };
        int r;

        do {
                r = fsrv__server_try(s, needs, &pending, ret_grip, error);
                if (r <= 0)
                        break;
                r = await_launch(s, needs, &pending, deadline, interrupt, error);
        } while (r == 0);
        fsrv__server_try_no_more(s, &pending);
        return r;
}

int fsrv__server_acquire(struct fsrv_server *s, int64_t deadline, struct fsrv__grip *ret_grip,
                         struct fsrv_error *error) {
        return acquire_needs(s, fsrv__server_needs(s), deadline, &s->interrupt, ret_grip, error);
}

void fsrv__server_release(struct fsrv__grip *grip) {
        grip->link = fsrv__link_unref(grip->link);
}

int fsrv__server_need_tracker(struct fsrv_server *s, int64_t deadline, struct fsrv_error *error) {
        struct fsrv__grip grip;
        int r = acquire_needs(s, FSRV_NEEDS_TRACKER, deadline, NULL, &grip, error);

        if (r < 0)
                return r;
        fsrv__server_release(&grip);
        return grip.tracker;
}

void fsrv__server_forget(struct fsrv_server *s, const struct fsrv__link *link) {
        pthread_mutex_lock(&s->lock);
        if (s->link == link) { /* else another thread was faster */
                s->link = fsrv__link_unref(s->link);
                s->admin = fsrv__fd_close(s->admin);
        }
        pthread_mutex_unlock(&s->lock);
}
