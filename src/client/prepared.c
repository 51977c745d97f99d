/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "client/prepared.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "client/caller.h"
#include "client/process.h"
#include "client/request.h"

/* more than the request has: the standard streams by default, those of the call, the data, the attributes' three fds */
enum { MORE_ACTIONS = 10 };

/* The actions as the wire has them, and the caller's fds that they name by their number in the list. */
struct numbered {
        struct fsrv__wire_action *actions;
        uint32_t n_actions;
        int *fds;
        uint32_t n_fds;
};

static void add_action(struct numbered *list, uint32_t type, int target, int fd) {
        list->actions[list->n_actions++] =
                (struct fsrv__wire_action){ .type = type, .target = target, .source = list->n_fds };
        list->fds[list->n_fds++] = fd;
}

/* A standard stream that is close-on-exec is the program's own: it was started without the stream, and has opened a
 * file since. */
static bool is_open_stream(const struct fsrv_request *request, int fd) {
        int flags = fcntl(fd, F_GETFD);

        return flags >= 0 && (request->pinned[fd] || !(flags & FD_CLOEXEC));
}

/* The default mapping of the standard streams, the request's actions, then those of the call. */
static void number_fds(const struct fsrv__prepared *p, struct numbered *list) {
        const struct fsrv_request *request = p->request;

        for (int i = 0; i < 3; i++) {
                if (!request->inherits[i] && !request->pinned[i])
                        continue;
                if (is_open_stream(request, i))
                        add_action(list, FSRV_WIRE_INSTALL, i, i);
                else
                        list->actions[list->n_actions++] =
                                (struct fsrv__wire_action){ .type = FSRV_WIRE_CLOSE, .target = i };
        }
        for (size_t i = 0; i < request->n_actions; i++) {
                struct fsrv__wire_action *action = &list->actions[list->n_actions++];
                *action = request->actions[i];
                if (action->type == FSRV_WIRE_INSTALL || action->type == FSRV_WIRE_HAND) {
                        list->fds[list->n_fds] = (int)action->source;
                        action->source = list->n_fds++;
                }
        }
        for (int i = 0; i < 3; i++)
                if (p->extra->streams[i] >= 0)
                        add_action(list, FSRV_WIRE_INSTALL, i, p->extra->streams[i]);
        if (p->extra->data >= 0)
                add_action(list, FSRV_WIRE_DATA, 0, p->extra->data);
        if (request->terminal >= 0)
                list->fds[list->n_fds++] = request->terminal;
        if (request->cgroup >= 0)
                list->fds[list->n_fds++] = request->cgroup;
        if (request->ruleset >= 0)
                list->fds[list->n_fds++] = request->ruleset;
}

static uint32_t wire_flags(uint32_t flags) {
        return (flags & FSRV_SPAWN_KILL_ON_CLOSE ? FSRV_WIRE_KILL_ON_CLOSE : 0) |
               (flags & FSRV_SPAWN_TELL_STOPS ? FSRV_WIRE_TELL_STOPS : 0) |
               (flags & FSRV_SPAWN_QUICK_EXIT ? FSRV_WIRE_QUICK_EXIT : 0) |
               (flags & FSRV_SPAWN_RESULT ? FSRV_WIRE_WANTS_RESULT : 0) |
               (flags & FSRV_SPAWN_STOPPED ? FSRV_WIRE_START_STOPPED | FSRV_WIRE_KILL_ON_CLOSE : 0) |
               (flags & FSRV_SPAWN_FILE ? FSRV_WIRE_PAYLOAD_IN_FILE : 0);
}

static int fill_head(const struct fsrv__prepared *p, const struct fsrv__grip *grip, struct fsrv__wire_request *head,
                     struct fsrv_error *error) {
        const struct fsrv_request *request = p->request;
        struct fsrv__caller caller = { 0 };
        sigset_t mask;

        if (request->umask < 0 || !request->has_ignored) {
                int r = fsrv__caller_read(grip->proc_status, &caller);
                if (r < 0)
                        return fsrv__fail(error, FSRV_STAGE_ARGUMENT, -r,
                                          "starting a process that finds the caller's umask, as there is no /proc");
        }
        pthread_sigmask(SIG_SETMASK, NULL, &mask);
        head->kind = request->kind;
        head->umask = request->umask < 0 ? caller.umask : (uint32_t)request->umask;
        head->signals_ignored = request->has_ignored ? request->ignored : caller.signals_ignored;
        head->signal_mask = request->has_mask ? request->mask : fsrv__signals_to_bits(&mask);
        head->time_limit_ms = request->time_limit_ms;
        head->grace_ms = request->grace_ms;
        head->flags = wire_flags(p->flags);
        if (request->new_session)
                head->flags |= FSRV_WIRE_NEW_SESSION;
        else
                head->flags |= request->has_group ? FSRV_WIRE_SET_GROUP : FSRV_WIRE_JOIN_GROUP;
        if (p->extra->until_ended) /* nobody is there to be told */
                head->flags &= ~(uint32_t)FSRV_WIRE_TELL_STOPS;
        if (p->extra->wants_status)
                head->flags |= FSRV_WIRE_HAS_STATUS;
        if (grip->tracker >= 0)
                head->flags |= FSRV_WIRE_HAS_TRACKER;
        head->group = request->has_group ? request->group : getpgrp();
        return 0;
}

/* posix_spawnp(3)'s default, where PATH isn't set */
static const char *search_path(const struct fsrv_request *request) {
        if (request->kind != FSRV_WIRE_PROGRAM || strchr(request->name, '/'))
                return "";
        const char *path = getenv("PATH");
        return path ? path : "/bin:/usr/bin";
}

static int encode_request(struct fsrv__prepared *p, struct fsrv__wire_request *head, const struct numbered *list) {
        const struct fsrv_request *request = p->request;
        char *only_name[] = { request->name, NULL };
        bool is_large = p->payload_size > FSRV_WIRE_MESSAGE_MAX; /* copied once, to where it goes */
        struct fsrv__request_parts parts = {
                .head = *head,
                .actions = list->actions,
                .attributes = request->attributes,
                .name = request->name,
                .search = search_path(request),
                .directory = request->directory ? request->directory : "",
                .argv = request->argv ? request->argv : only_name,
                .environment = request->environment ? request->environment : environ,
                .paths = request->paths,
                .payload = is_large ? NULL : p->payload,
        };

        parts.head.payload_size = p->payload_size;
        parts.head.n_actions = list->n_actions;
        parts.head.n_fds = list->n_fds;
        parts.head.n_fds_here = list->n_fds < FSRV_WIRE_FIRST_FDS_MAX ? list->n_fds : FSRV_WIRE_FIRST_FDS_MAX;
        return fsrv__request_encode(&parts, &p->bytes, &p->size);
}

/* Takes the numbered fds over, on success alone. */
static int number_and_encode(struct fsrv__prepared *p, struct fsrv__wire_request *head) {
        size_t most = MORE_ACTIONS + p->request->n_actions;
        struct numbered list = { .actions = malloc(most * sizeof *list.actions),
                                 .fds = malloc(most * sizeof *list.fds) };
        int r = -ENOMEM;

        if (list.actions && list.fds) {
                number_fds(p, &list);
                r = encode_request(p, head, &list);
        }
        free(list.actions);
        if (r < 0) {
                free(list.fds);
                return r;
        }
        p->user_fds = list.fds;
        p->n_user_fds = list.n_fds;
        return 0;
}

/* The body is too large for a message. 0 or -errno. */
static int put_into_memfd(struct fsrv__prepared *p) {
        struct fsrv__wire_request *head = fsrv__prepared_head(p);
        size_t here = p->size - sizeof *head, rest = head->body_size - here;
        const struct iovec parts[] = { { p->bytes + sizeof *head, here }, { (void *)p->payload, rest } };
        int memfd = fsrv__sealed_memfd_of("forkserver request", parts, 2);

        if (memfd < 0)
                return memfd;
        p->memfd = memfd;
        p->size = sizeof *head;
        head->flags |= FSRV_WIRE_BODY_IN_MEMFD;
        return 0;
}

int fsrv__prepared_make(struct fsrv__prepared *p, const struct fsrv__grip *grip, int64_t deadline,
                        struct fsrv_error *error) {
        struct fsrv__wire_request head = { 0 };
        int r = fill_head(p, grip, &head, error);

        if (r < 0)
                return r;
        head.made_us = (uint32_t)fsrv__now_us();
        if (deadline != FSRV_NEVER)
                head.setup_limit_ms = (uint32_t)fsrv__left(deadline);
        p->tracker = grip->tracker;
        r = number_and_encode(p, &head);
        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, -r, "encoding the request");
        uint64_t body_size = fsrv__prepared_head(p)->body_size;
        if (sizeof head + body_size > FSRV_WIRE_MESSAGE_MAX && (r = put_into_memfd(p)) < 0) {
                fsrv__prepared_done(p);
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, -r, "a request of %llu bytes",
                                  (unsigned long long)body_size);
        }
        return 0;
}

/* What depends on the rest of the request. */
static int check_attributes(const struct fsrv_request *request, struct fsrv_error *error) {
        uint64_t mask = request->attributes ? request->attributes->mask : 0;

        if (mask & FSRV_ATTRIBUTE_TERMINAL && !request->new_session)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                       "a controlling terminal needs a new session: fsrv_request_set_session()");
        if (request->kind != FSRV_WIRE_PROGRAM)
                return 0;
        if (mask & FSRV_ATTRIBUTE_TITLE)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                       "a program's title is its arguments: a title is for an entry point");
        if (mask & FSRV_ATTRIBUTE_DUMPABLE)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                       "execve(2) makes a program dumpable: set its core limit instead");
        return 0;
}

static int check_request(const struct fsrv__prepared *p, struct fsrv_error *error) {
        const struct fsrv_request *request = p->request;

        if (p->flags & FSRV_SPAWN_RESULT && request->kind == FSRV_WIRE_PROGRAM)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                       "a program gives no result; only an entry point does");
        if (!request->kind)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                       "the request names neither an entry point nor a program");
        if (request->new_session && request->has_group)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                       "a new session is a new process group too: the request cannot set both");
        return check_attributes(request, error);
}

/* Its size is that of now: what the file becomes later shows in the process alone. */
static int take_file(struct fsrv__prepared *p, int fd, struct fsrv_error *error) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, errno, "the payload's fd %d", fd);
        if (!S_ISREG(st.st_mode))
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                       "the payload's fd %d is neither a file nor a memfd", fd);
        p->payload_fd = fd;
        p->payload_size = (size_t)st.st_size;
        p->flags |= FSRV_SPAWN_FILE;
        return 0;
}

static int take_payload(struct fsrv__prepared *p, struct fsrv_error *error) {
        const struct fsrv_request *request = p->request;

        if (p->extra->is_call && p->extra->input) {
                p->payload = p->extra->input;
                p->payload_size = p->extra->input_size;
        } else if (request->payload_fd >= 0 && request->kind == FSRV_WIRE_ENTRY) {
                return take_file(p, request->payload_fd, error);
        } else {
                p->payload = request->payload;
                p->payload_size = request->payload_size;
        }
        return 0;
}

int fsrv__prepared_init(struct fsrv__prepared *p, const struct fsrv_request *request,
                        const struct fsrv__spawn_extra *extra, struct fsrv_error *error) {
        *p = (struct fsrv__prepared){
                .request = request, .extra = extra, .payload_fd = -1, .memfd = -1, .tracker = -1
        };
        p->flags = request->flags;
        if (extra->is_call) /* its process is of no use without its client */
                p->flags |= FSRV_SPAWN_RESULT | FSRV_SPAWN_KILL_ON_CLOSE;
        int r = check_request(p, error);
        return r < 0 ? r : take_payload(p, error);
}

void fsrv__prepared_done(struct fsrv__prepared *p) {
        p->memfd = fsrv__fd_close(p->memfd);
        free(p->bytes);
        free(p->user_fds);
        p->bytes = NULL;
        p->user_fds = NULL;
}
