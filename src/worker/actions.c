/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/call.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "worker/worker.h"

static bool changes_target(const struct fsrv__wire_action *action) {
        return action->type != FSRV_WIRE_HAND && action->type != FSRV_WIRE_DATA;
}

static bool is_optional(const struct fsrv__wire_action *action) {
        return action->type == FSRV_WIRE_INSTALL && action->mode == FSRV_WIRE_IF_FREE;
}

static bool is_target(const struct fsrv__request_parts *request, int fd) {
        for (uint32_t i = 0; i < request->head.n_actions; i++)
                if (changes_target(&request->actions[i]) && request->actions[i].target == fd)
                        return true;
        return fd <= STDERR_FILENO;
}

/* A free number between those that the request wants. There is none above them where one of them is the last that the
 * limit of open files allows. */
static int dup_between(const struct fsrv__request_parts *request, int fd) {
        for (int copy = STDERR_FILENO;;) {
                copy = fsrv__fd_dup_above(fd, copy + 1);
                if (copy < 0 || !is_target(request, copy))
                        return copy;
                fsrv__fd_close(copy);
        }
}

/* Our own fds may have numbers that the request wants: all of these get numbers above them first. */
static int move_above(const struct fsrv__request_parts *request, int *fd, int highest) {
        if (*fd < 0 || *fd > highest)
                return 0;
        int copy = fsrv__fd_dup_above(*fd, highest + 1);
        if (copy == -EINVAL || copy == -EMFILE) {
                if (!is_target(request, *fd))
                        return 0;
                copy = dup_between(request, *fd);
        }
        if (copy < 0)
                return copy;
        fsrv__fd_close(*fd);
        *fd = copy;
        return 0;
}

static int make_room_below(struct fsrv__task *task, int highest, struct fsrv_error *error) {
        int *own[] = { &task->claims,   &task->pidfd,   &task->answer,    &task->doorbell,
                       &task->lifeline, &task->tracker, &task->directory, &task->result };
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof own / sizeof *own; i++)
                r = move_above(&task->request, own[i], highest);
        for (size_t i = 0; r == 0 && i < task->request.head.n_fds; i++)
                r = move_above(&task->request, &task->fds[i], highest);
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_FDS, -r, "making room below fd %d", highest + 1) : 0;
}

/* dup2(2), which leaves an fd close-on-exec that is the target already: here it becomes inheritable all the same. */
static int install_fd(int fd, int target, struct fsrv_error *error) {
        long r;

        if (fd == target)
                r = fsrv__fd_set_cloexec(fd, 0);
        else
                r = fsrv__call(SYS_dup3, fd, target, 0);
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_FDS, (int)-r, "dup2(%d, %d)", fd, target) : 0;
}

static int open_as(const struct fsrv__wire_action *action, const char *path, struct fsrv_error *error) {
        int fd = open(path, (int)action->source | O_CLOEXEC, (mode_t)action->mode);

        if (fd < 0)
                return fsrv__fail(error, FSRV_STAGE_OPEN, errno, "opening '%s' as fd %d", path, action->target);
        int r = install_fd(fd, action->target, error);
        if (fd != action->target)
                fsrv__fd_close(fd);
        return r;
}

static int run_action(struct fsrv__task *task, const struct fsrv__wire_action *action, const char *path,
                      struct fsrv_error *error) {
        switch (action->type) {
        case FSRV_WIRE_INSTALL:
                if (is_optional(action) && task->request.head.kind == FSRV_WIRE_ENTRY &&
                    fsrv__fd_is_open(action->target) == 1)
                        return 0; /* our own fds are elsewhere by now: it is a module's */
                return install_fd(task->fds[action->source], action->target, error);
        case FSRV_WIRE_DUP:
                return install_fd((int)action->source, action->target, error);
        case FSRV_WIRE_OPEN:
                return open_as(action, path, error);
        case FSRV_WIRE_CLOSE:
                fsrv__fd_close(action->target);
                return 0;
        default:
                return 0; /* HAND, DATA: the fd stays where it is */
        }
}

/* Preloaded code may have a file open at a number that the request wants: to overwrite it would break that code. */
static int check_free(const struct fsrv__request_parts *request, struct fsrv_error *error) {
        for (uint32_t i = 0; i < request->head.n_actions; i++) {
                const struct fsrv__wire_action *action = &request->actions[i];

                if (changes_target(action) && !is_optional(action) && action->target > STDERR_FILENO &&
                    fsrv__fd_is_open(action->target) == 1)
                        return fsrv__fail_text(error, FSRV_STAGE_FDS, EBUSY,
                                               "fd %d is in use by a preloaded module of the zygote", action->target);
        }
        return 0;
}

int fsrv__actions_run(struct fsrv__task *task, struct fsrv_error *error) {
        const struct fsrv__request_parts *request = &task->request;
        int highest = STDERR_FILENO, r;
        size_t path = 0;

        for (uint32_t i = 0; i < request->head.n_actions; i++)
                if (changes_target(&request->actions[i]) && request->actions[i].target > highest)
                        highest = request->actions[i].target;
        if (highest == INT_MAX)
                return fsrv__fail(error, FSRV_STAGE_FDS, EBADF, "fd %d", highest);
        r = make_room_below(task, highest, error);
        if (r < 0)
                return r;
        /* A program gets what the actions put in place and nothing else, be it the zygote's or of its modules. */
        if (request->head.kind == FSRV_WIRE_PROGRAM)
                fsrv__cloexec_range(STDERR_FILENO + 1, UINT_MAX);
        else if ((r = check_free(request, error)) < 0)
                return r;
        for (uint32_t i = 0; i < request->head.n_actions; i++) {
                const struct fsrv__wire_action *action = &request->actions[i];

                r = run_action(task, action, request->paths[path], error);
                if (r < 0)
                        return r;
                if (action->type == FSRV_WIRE_OPEN)
                        path++;
        }
        return 0;
}
