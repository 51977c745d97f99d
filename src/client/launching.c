/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "client/launch.h"
#include "client/tracker_pipe.h"
#include "wire/protocol.h"

/* A launch as an object. Each function here has the handle's lock. */

static int watch_fd(int epoll, int fd) {
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

struct fsrv__launch *fsrv__launch_unref(struct fsrv__launch *launch) {
        if (!launch || --launch->references > 0)
                return NULL;
        close_fds(launch);
        fsrv__fd_close(launch->changed);
        fsrv__fd_close(launch->ended);
        free(launch->program);
        free(launch);
        return NULL;
}

struct fsrv__launch *fsrv__launch_ref(struct fsrv__launch *launch) {
        launch->references++;
        return launch;
}

int fsrv__launch_new(struct fsrv_server *s, unsigned brings, struct fsrv_error *error) {
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
        fsrv__tracker_keep_number(s->tracker);
        launch->changed = fsrv__fd_raise(epoll_create1(EPOLL_CLOEXEC));
        launch->ended = fsrv__fd_raise(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        int r = launch->changed < 0 || launch->ended < 0 ? -errno : watch_fd(launch->changed, launch->ended);
        if (r < 0) {
                fsrv__launch_unref(launch);
                return fsrv__fail(error, brings & FSRV_NEEDS_SERVER ? FSRV_STAGE_START : FSRV_STAGE_TRACKER, -r,
                                  "an fd to wait for a start with");
        }
        s->launch = launch;
        return 0;
}

static int install_server(struct fsrv_server *s, struct fsrv__launch *launch) {
        int doorbell = fsrv__fd_steal(&launch->doorbell);
        struct fsrv__link *link = fsrv__link_new(doorbell);

        if (!link)
                return fsrv__fail(&launch->error, FSRV_STAGE_START, ENOMEM, "a server handle");
        s->link = link;
        s->admin = fsrv__fd_steal(&launch->admin);
        s->anchor = launch->anchor;
        return 0;
}

/* Wakes all that wait for the launch. */
static void end_launch(struct fsrv_server *s, struct fsrv__launch *launch, int result) {
        static const uint64_t one = 1;

        if (result == 0 && launch->brings & FSRV_NEEDS_SERVER && !launch->is_stale)
                result = install_server(s, launch);
        launch->result = launch->is_stale ? 0 : result;
        launch->state = FSRV_LAUNCH_ENDED;
        (void)!write(launch->ended, &one, sizeof one);
        close_fds(launch); /* those that were not handed over */
        s->launch = fsrv__launch_unref(launch);
}

/* An anchor or its server that dies at once may have lacked memory that was left out of the copy, such as that of a
 * library which stands in for the C library's calls (fakeroot). Then the next try has no anchor. What this try has
 * started ends with its sockets. */
static bool is_worth_another(struct fsrv__launch *launch, int result) {
        if (!launch->in_tree || (result != -ECHILD && result != -ECONNRESET))
                return false;
        launch->in_tree = false;
        launch->anchor = 0;
        return true;
}

/* Starts the processes. The lock is left meanwhile, and no other thread goes on with this launch. 0; 1: it has to wait
 * for memory; -errno. */
static int start_processes(struct fsrv_server *s, struct fsrv__launch *launch) {
        int r = fsrv__launch_prepare(s, launch, &launch->error);

        if (r == 0) {
                launch->state = FSRV_LAUNCH_BEGINNING;
                pthread_mutex_unlock(&s->lock);
                r = fsrv__launch_start(s, launch, &launch->error);
                pthread_mutex_lock(&s->lock);
                launch->state = FSRV_LAUNCH_NEW;
        }
        if (r == 1) /* the next step begins anew */
                close_fds(launch);
        close_theirs(launch);
        if (r != 0 || launch->tracker < 0)
                return r;
        launch->has_tracker = true;
        r = fsrv__server_install_tracker(s, fsrv__fd_steal(&launch->tracker));
        return r < 0 ? fsrv__fail(&launch->error, FSRV_STAGE_TRACKER, -r, "the fd of the resource tracker") : 0;
}

static int ask_server(struct fsrv_server *s, struct fsrv__launch *launch) {
        if (!(launch->brings & FSRV_NEEDS_SERVER) || launch->is_stale)
                return 0;
        if (s->kind == FSRV_SERVER_INHERITED)
                return fsrv__fail_text(&launch->error, FSRV_STAGE_CONNECT, ECONNREFUSED,
                                       "the fork server that this worker came from is gone");
        int r = s->kind == FSRV_SERVER_NAMED ? fsrv__attach_start(s, launch, &launch->error) : 0;
        if (r != 0)
                return r;
        launch->state = FSRV_LAUNCH_ASKED;
        r = watch_fd(launch->changed, launch->admin);
        return r < 0 ? fsrv__fail(&launch->error, FSRV_STAGE_START, -r, "an fd to wait for the server with") : 0;
}

int fsrv__launch_time_out(const struct fsrv_server *s, struct fsrv_error *error) {
        if (s->kind == FSRV_SERVER_NAMED)
                return fsrv__fail(error, FSRV_STAGE_CONNECT, ETIMEDOUT, "connecting to '%s'", s->path);
        return fsrv__fail_text(error, FSRV_STAGE_START, ETIMEDOUT, "the fork server was not ready in time");
}

/* 0: the launch is complete; 1: it is to be waited for; -errno. */
static int take_step(struct fsrv_server *s, struct fsrv__launch *launch) {
        int r = 0;

        if (launch->state == FSRV_LAUNCH_BEGINNING)
                return 1;
        if (launch->state == FSRV_LAUNCH_NEW) {
                r = start_processes(s, launch);
                if (r == 0)
                        r = ask_server(s, launch);
        }
        if (r == 0 && launch->state == FSRV_LAUNCH_ASKED)
                r = s->kind == FSRV_SERVER_NAMED ? fsrv__attach_answer(s, launch, &launch->error)
                                                 : fsrv__launch_answer(launch, &launch->error);
        return r == 1 && fsrv__now() >= launch->deadline ? fsrv__launch_time_out(s, &launch->error) : r;
}

/* As far as it goes without waiting. */
void fsrv__launch_advance(struct fsrv_server *s, struct fsrv__launch *launch) {
        int r = take_step(s, launch);

        if (is_worth_another(launch, r)) {
                close_fds(launch);
                launch->state = FSRV_LAUNCH_NEW;
                r = take_step(s, launch);
        }
        if (r != 1)
                end_launch(s, launch, r);
}

void fsrv__launch_abandon(struct fsrv_server *s) {
        struct fsrv__launch *launch = s->launch;

        if (!launch)
                return;
        launch->state = FSRV_LAUNCH_ENDED;
        close_fds(launch);
        launch->changed = fsrv__fd_close(launch->changed);
        launch->ended = fsrv__fd_close(launch->ended);
        s->launch = fsrv__launch_unref(launch);
}

void fsrv__launch_drop_forgotten(struct fsrv_server *s) {
        const struct fsrv__launch *launch = s->launch;

        if (launch && launch->references == 1 && launch->state != FSRV_LAUNCH_BEGINNING &&
            fsrv__now() >= launch->deadline)
                fsrv__launch_abandon(s);
}

int fsrv__server_install_tracker(struct fsrv_server *s, int fd) {
        if (s->tracker >= 0)
                return fsrv__tracker_put_under(s->tracker, fd);
        s->tracker = fd;
        return 0;
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
                        end_launch(s, launch, 0);
                }
        }
        return anchor;
}
