/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "client/handle.h"
#include "wire/protocol.h"

/* Keeping a handle's server and tracker running. Each function here has the handle's lock, or takes it for a moment. */

enum { LOOK_MS = 5 }; /* where there is nothing to poll for: a named server's backlog, another thread that begins */

/* ---- a launch ---- */

static int watch(int epoll, int fd) {
        struct epoll_event event = { .events = EPOLLIN };

        return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void close_theirs(struct fsrv__launch *launch) {
        fsrv__fds_close(launch->theirs, sizeof launch->theirs / sizeof *launch->theirs);
}

static void close_fds(struct fsrv__launch *launch) {
        close_theirs(launch);
        launch->admin = fsrv__fd_close(launch->admin);
        launch->doorbell = fsrv__fd_close(launch->doorbell);
        launch->tracker = fsrv__fd_close(launch->tracker);
}

static struct fsrv__launch *unref(struct fsrv__launch *launch) {
        if (!launch || --launch->references > 0)
                return NULL;
        close_fds(launch);
        fsrv__fd_close(launch->changed);
        fsrv__fd_close(launch->ended);
        free(launch->program);
        free(launch);
        return NULL;
}

static struct fsrv__launch *ref(struct fsrv__launch *launch) {
        launch->references++;
        return launch;
}

/* Its number may be closed by the program, and what is made next would take it. A pipe without a reader is no tracker.
 */
static void keep_number(int tracker) {
        int ends[2];

        if (tracker < 0 || fsrv__fd_is_open(tracker) == 1 || pipe2(ends, O_CLOEXEC) < 0)
                return;
        if (ends[0] == tracker || ends[1] != tracker)
                dup3(ends[1], tracker, O_CLOEXEC);
        if (ends[0] != tracker)
                close(ends[0]);
        if (ends[1] != tracker)
                close(ends[1]);
}

static int new_launch(struct fsrv_server *s, unsigned brings, struct fsrv_error *error) {
        struct fsrv__launch *launch = calloc(1, sizeof *launch);

        if (!launch)
                return fsrv__fail(error, FSRV_STAGE_START, ENOMEM, "a server handle");
        launch->references = 1;
        launch->brings = brings;
        launch->in_tree = s->in_tree;
        launch->is_again = s->tracker >= 0;
        launch->deadline = fsrv__deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS);
        launch->admin = launch->doorbell = launch->tracker = -1;
        memset(launch->theirs, -1, sizeof launch->theirs);
        keep_number(s->tracker);
        launch->changed = fsrv__fd_raise(epoll_create1(EPOLL_CLOEXEC));
        launch->ended = fsrv__fd_raise(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        int r = launch->changed < 0 || launch->ended < 0 ? -errno : watch(launch->changed, launch->ended);
        if (r < 0) {
                unref(launch);
                return fsrv__fail(error, brings & FSRV_NEEDS_SERVER ? FSRV_STAGE_START : FSRV_STAGE_TRACKER, -r,
                                  "an fd to wait for a start with");
        }
        s->launch = launch;
        return 0;
}

static int install(struct fsrv_server *s, struct fsrv__launch *launch) {
        int doorbell = fsrv__fd_steal(&launch->doorbell);
        struct fsrv__link *link = fsrv__link_new(doorbell);

        if (!link)
                return fsrv__fail(&launch->error, FSRV_STAGE_START, ENOMEM, "a server handle");
        s->link = link;
        s->admin = fsrv__fd_steal(&launch->admin);
        s->anchor = launch->anchor;
        return 0;
}

/* Who waits for it finds it so. */
static void end(struct fsrv_server *s, struct fsrv__launch *launch, int result) {
        static const uint64_t one = 1;

        if (result == 0 && launch->brings & FSRV_NEEDS_SERVER && !launch->is_stale)
                result = install(s, launch);
        launch->result = launch->is_stale ? 0 : result;
        launch->state = FSRV_LAUNCH_ENDED;
        (void)!write(launch->ended, &one, sizeof one);
        close_fds(launch); /* of what has come to nothing */
        s->launch = unref(launch);
}

/* An anchor that has died, or what was to become its server, may have lacked memory that it was spared, as of a library
 * that stands in for the C library's calls (fakeroot and its kind). What has been started ends with the sockets. */
static bool is_worth_another(struct fsrv__launch *launch, int result) {
        if (!launch->in_tree || (result != -ECHILD && result != -ECONNRESET))
                return false;
        launch->in_tree = false;
        launch->anchor = 0;
        return true;
}

/* Starts what has to be started: the lock is left meanwhile, and nobody but us goes on with this launch. 0; 1: it has
 * to wait for memory; -errno. */
static int start(struct fsrv_server *s, struct fsrv__launch *launch) {
        int r = fsrv__launch_prepare(s, launch, &launch->error);

        if (r == 0) {
                launch->state = FSRV_LAUNCH_BEGINNING;
                pthread_mutex_unlock(&s->lock);
                r = fsrv__launch_start(s, launch, &launch->error);
                pthread_mutex_lock(&s->lock);
                launch->state = FSRV_LAUNCH_NEW;
        }
        if (r == 1) /* it begins anew later */
                close_fds(launch);
        close_theirs(launch);
        if (r != 0 || launch->tracker < 0)
                return r;
        launch->has_tracker = true;
        r = fsrv__server_install_tracker(s, fsrv__fd_steal(&launch->tracker));
        return r < 0 ? fsrv__fail(&launch->error, FSRV_STAGE_TRACKER, -r, "the fd of the resource tracker") : 0;
}

static int ask(struct fsrv_server *s, struct fsrv__launch *launch) {
        if (!(launch->brings & FSRV_NEEDS_SERVER) || launch->is_stale)
                return 0;
        if (s->kind == FSRV_SERVER_INHERITED)
                return fsrv__fail_text(&launch->error, FSRV_STAGE_CONNECT, ECONNREFUSED,
                                       "the fork server that this worker came from is gone");
        int r = s->kind == FSRV_SERVER_NAMED ? fsrv__attach_start(s, launch, &launch->error) : 0;
        if (r != 0)
                return r;
        launch->state = FSRV_LAUNCH_ASKED;
        r = watch(launch->changed, launch->admin);
        return r < 0 ? fsrv__fail(&launch->error, FSRV_STAGE_START, -r, "an fd to wait for the server with") : 0;
}

int fsrv__server_time_out(const struct fsrv_server *s, struct fsrv_error *error) {
        if (s->kind == FSRV_SERVER_NAMED)
                return fsrv__fail(error, FSRV_STAGE_CONNECT, ETIMEDOUT, "connecting to '%s'", s->path);
        return fsrv__fail_text(error, FSRV_STAGE_START, ETIMEDOUT, "the fork server was not ready in time");
}

/* 0: it is complete; 1: it is to be waited for; -errno. */
static int take_on(struct fsrv_server *s, struct fsrv__launch *launch) {
        int r = 0;

        if (launch->state == FSRV_LAUNCH_BEGINNING)
                return 1;
        if (launch->state == FSRV_LAUNCH_NEW) {
                r = start(s, launch);
                if (r == 0)
                        r = ask(s, launch);
        }
        if (r == 0 && launch->state == FSRV_LAUNCH_ASKED)
                r = s->kind == FSRV_SERVER_NAMED ? fsrv__attach_answer(s, launch, &launch->error)
                                                 : fsrv__launch_answer(launch, &launch->error);
        return r == 1 && fsrv__now() >= launch->deadline ? fsrv__server_time_out(s, &launch->error) : r;
}

/* As far as it goes without waiting. */
static void advance(struct fsrv_server *s, struct fsrv__launch *launch) {
        int r = take_on(s, launch);

        if (is_worth_another(launch, r)) {
                close_fds(launch);
                launch->state = FSRV_LAUNCH_NEW;
                r = take_on(s, launch);
        }
        if (r != 1)
                end(s, launch, r);
}

void fsrv__launch_abandon(struct fsrv_server *s) {
        struct fsrv__launch *launch = s->launch;

        if (!launch)
                return;
        launch->state = FSRV_LAUNCH_ENDED;
        close_fds(launch);
        launch->changed = fsrv__fd_close(launch->changed);
        launch->ended = fsrv__fd_close(launch->ended);
        s->launch = unref(launch);
}

/* ---- what a handle needs ---- */

/* In a forked child: its parent's lifeline says nothing of us, and /proc/self was the parent. */
static int own(struct fsrv_server *s, struct fsrv_error *error) {
        pid_t self = getpid();
        int ends[2];

        if (s->owner == self)
                return 0;
        fsrv__launch_abandon(s); /* where the C library's fork() didn't see to it */
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

/* A pipe that nobody reads any more says so to a poll. (Or the program has closed a number that is the library's.) */
static bool has_tracker(const struct fsrv_server *s) {
        struct pollfd entry = { .fd = s->tracker };

        return s->tracker >= 0 && poll(&entry, 1, 0) == 0;
}

static unsigned lacks(const struct fsrv_server *s, unsigned needs) {
        unsigned lacking = 0;

        if (needs & FSRV_NEEDS_SERVER && !s->link)
                lacking |= FSRV_NEEDS_SERVER;
        if (needs & FSRV_NEEDS_TRACKER && !has_tracker(s))
                lacking |= FSRV_NEEDS_TRACKER;
        return lacking;
}

/* 0, or the failure, which is ours too if we need all that it was to bring. */
static int take_result(struct fsrv__launch **launch, unsigned *needs, struct fsrv_error *error) {
        int r = (*launch)->brings & ~*needs ? 0 : (*launch)->result;

        if ((*launch)->has_tracker)
                *needs &= ~(unsigned)FSRV_NEEDS_TRACKER; /* one that dies at once is nothing to go on with for ever */
        if (r < 0 && error)
                *error = (*launch)->error;
        *launch = unref(*launch);
        return r;
}

static void hold(struct fsrv_server *s, struct fsrv__grip *grip) {
        if (s->link)
                atomic_fetch_add(&s->link->references, 1);
        *grip = (struct fsrv__grip){ s->link, s->lifeline_read, s->proc_status, s->tracker };
}

/* One whom all have given up on, and whose time is over, is no reason for the next one to fail at once. */
static void drop_forgotten(struct fsrv_server *s) {
        const struct fsrv__launch *launch = s->launch;

        if (launch && launch->references == 1 && launch->state != FSRV_LAUNCH_BEGINNING &&
            fsrv__now() >= launch->deadline)
                fsrv__launch_abandon(s);
}

static int look(struct fsrv_server *s, unsigned needs, struct fsrv__launch **launch, struct fsrv_error *error) {
        int r = needs & FSRV_NEEDS_SERVER ? own(s, error) : 0;

        while (r == 0) {
                if (*launch && (*launch)->state == FSRV_LAUNCH_ENDED && (r = take_result(launch, &needs, error)) < 0)
                        break;
                unsigned lacking = lacks(s, needs);
                if (!lacking)
                        break;
                if (!*launch)
                        drop_forgotten(s);
                if (!s->launch && (r = new_launch(s, lacking, error)) < 0)
                        break;
                if (!*launch)
                        *launch = ref(s->launch);
                advance(s, *launch);
                if ((*launch)->state != FSRV_LAUNCH_ENDED)
                        r = 1;
        }
        return r;
}

int fsrv__server_try(struct fsrv_server *s, unsigned needs, struct fsrv__pending *pending, struct fsrv__grip *ret_grip,
                     struct fsrv_error *error) {
        pthread_mutex_lock(&s->lock);
        int r = look(s, needs, &pending->launch, error);
        if (r == 0)
                hold(s, ret_grip);
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
        pending->launch = unref(pending->launch);
        pthread_mutex_unlock(&s->lock);
}

static int await(const struct fsrv_server *s, const struct fsrv__pending *pending, int64_t deadline,
                 const struct fsrv__interrupt *interrupt, struct fsrv_error *error) {
        struct pollfd entry = { .fd = pending->launch->changed, .events = POLLIN };
        int r = fsrv__poll(&entry, pending->look_at < deadline ? pending->look_at : deadline, interrupt);

        if (r == -EINTR)
                return fsrv__interrupted(error, FSRV_STAGE_START);
        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_START, -r, "waiting for the server");
        return r == 0 && fsrv__now() >= deadline ? fsrv__server_time_out(s, error) : 0;
}

static int bring(struct fsrv_server *s, unsigned needs, int64_t deadline, const struct fsrv__interrupt *interrupt,
                 struct fsrv__grip *ret_grip, struct fsrv_error *error) {
        struct fsrv__pending pending = { 0 };
        int r;

        do {
                r = fsrv__server_try(s, needs, &pending, ret_grip, error);
                if (r <= 0)
                        break;
                r = await(s, &pending, deadline, interrupt, error);
        } while (r == 0);
        fsrv__server_try_no_more(s, &pending);
        return r;
}

int fsrv__server_acquire(struct fsrv_server *s, int64_t deadline, struct fsrv__grip *ret_grip,
                         struct fsrv_error *error) {
        return bring(s, fsrv__server_needs(s), deadline, &s->interrupt, ret_grip, error);
}

void fsrv__server_release(struct fsrv__grip *grip) {
        grip->link = fsrv__link_unref(grip->link);
}

int fsrv__server_need_tracker(struct fsrv_server *s, struct fsrv_error *error) {
        struct fsrv__grip grip;
        int r = bring(s, FSRV_NEEDS_TRACKER, FSRV_NEVER, NULL, &grip, error);

        if (r < 0)
                return r;
        fsrv__server_release(&grip);
        return grip.tracker;
}

/* Once a number is the tracker's it stays so, since other threads may be about to use it: they find one tracker or the
 * other behind it, never a number that is closed. */
int fsrv__server_install_tracker(struct fsrv_server *s, int fd) {
        int r;

        if (s->tracker < 0) {
                s->tracker = fd;
                return 0;
        }
        do
                r = dup3(fd, s->tracker, O_CLOEXEC) < 0 ? -errno : 0;
        while (r == -EINTR || r == -EBUSY);
        fsrv__fd_close(fd);
        return r;
}

void fsrv__server_forget(struct fsrv_server *s, const struct fsrv__link *link) {
        pthread_mutex_lock(&s->lock);
        if (s->link == link) { /* else another thread was faster */
                s->link = fsrv__link_unref(s->link);
                s->admin = fsrv__fd_close(s->admin);
        }
        pthread_mutex_unlock(&s->lock);
}

pid_t fsrv__server_let_go(struct fsrv_server *s) {
        struct fsrv__launch *launch = s->launch;
        pid_t anchor = s->owner == getpid() ? s->anchor : 0;

        s->anchor = 0;
        s->link = fsrv__link_unref(s->link);
        s->admin = fsrv__fd_close(s->admin);
        if (launch && launch->brings & FSRV_NEEDS_SERVER) {
                launch->is_stale = true;
                if (launch->state != FSRV_LAUNCH_BEGINNING) {
                        anchor = launch->anchor ? launch->anchor : anchor;
                        end(s, launch, 0);
                }
        }
        return anchor;
}
