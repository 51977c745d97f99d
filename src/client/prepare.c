/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "client/caller.h"
#include "client/request.h"
#include "client/spawn.h"

/* A request and the caller of now, as one message. */

enum { MORE_ACTIONS = 7 }; /* than the request has: three standard streams, by default and by the call, and the data */

/* The default mapping of the standard streams, then the request's actions with the caller's fds numbered. */
static int number_fds(struct fsrv__spawning *s, struct fsrv__wire_action **ret_actions, uint32_t *ret_n) {
        const struct fsrv_request *request = s->request;
        struct fsrv__wire_action *actions = malloc((request->n_actions + MORE_ACTIONS) * sizeof *actions);
        uint32_t n = 0;

        int *fds = s->user_fds = malloc((MORE_ACTIONS + request->n_actions) * sizeof *fds);
        if (!actions || !fds) {
                free(actions);
                return -ENOMEM;
        }
        for (int i = 0; i < 3; i++) {
                if (!request->inherits[i] && !request->pinned[i])
                        continue;
                int flags = fcntl(i, F_GETFD);
                /* One that a program that was started without it has opened since is the program's own: it says
                 * close-on-exec. */
                bool open = flags >= 0 && (request->pinned[i] || !(flags & FD_CLOEXEC));
                actions[n++] = (struct fsrv__wire_action){ .type = open ? FSRV_WIRE_INSTALL : FSRV_WIRE_CLOSE,
                                                           .target = i,
                                                           .source = (uint32_t)s->n_user_fds };
                if (open)
                        fds[s->n_user_fds++] = i;
        }
        for (size_t i = 0; i < request->n_actions; i++) {
                actions[n] = request->actions[i];
                if (actions[n].type == FSRV_WIRE_INSTALL || actions[n].type == FSRV_WIRE_HAND) {
                        fds[s->n_user_fds] = (int)actions[n].source;
                        actions[n].source = (uint32_t)s->n_user_fds++;
                }
                n++;
        }
        for (int i = 0; i < 3; i++)
                if (s->extra->streams[i] >= 0) {
                        actions[n++] = (struct fsrv__wire_action){ .type = FSRV_WIRE_INSTALL,
                                                                   .target = i,
                                                                   .source = (uint32_t)s->n_user_fds };
                        fds[s->n_user_fds++] = s->extra->streams[i];
                }
        if (s->extra->data >= 0) {
                actions[n++] = (struct fsrv__wire_action){ .type = FSRV_WIRE_DATA, .source = (uint32_t)s->n_user_fds };
                fds[s->n_user_fds++] = s->extra->data;
        }
        *ret_actions = actions;
        *ret_n = n;
        return 0;
}

static uint32_t wire_flags(uint32_t flags) {
        return (flags & FSRV_SPAWN_KILL_ON_CLOSE ? FSRV_WIRE_KILL_ON_CLOSE : 0) |
               (flags & FSRV_SPAWN_TELL_STOPS ? FSRV_WIRE_TELL_STOPS : 0) |
               (flags & FSRV_SPAWN_QUICK_EXIT ? FSRV_WIRE_QUICK_EXIT : 0);
}

static int fill_head(const struct fsrv__spawning *s, const struct fsrv__grip *grip, struct fsrv__wire_request *head) {
        const struct fsrv_request *request = s->request;
        struct fsrv__caller caller = { 0 };
        sigset_t mask;

        if (request->umask < 0 || !request->has_ignored) {
                int r = fsrv__caller_read(grip->proc_status, &caller);
                if (r < 0)
                        return fsrv__fail(s->error, FSRV_STAGE_ARGUMENT, -r,
                                          "starting a process that finds the caller's umask, as there is no /proc");
        }
        pthread_sigmask(SIG_SETMASK, NULL, &mask);
        head->kind = request->kind;
        head->umask = request->umask < 0 ? caller.umask : (uint32_t)request->umask;
        head->signals_ignored = request->has_ignored ? request->ignored : caller.signals_ignored;
        head->signal_mask = request->has_mask ? request->mask : fsrv__signals_to_bits(&mask);
        head->time_limit_ms = request->time_limit_ms;
        head->grace_ms = request->grace_ms;
        head->setup_limit_ms = s->deadline == FSRV_NEVER ? 0 : (uint32_t)fsrv__left(s->deadline);
        head->flags = wire_flags(request->flags);
        if (request->new_session)
                head->flags |= FSRV_WIRE_NEW_SESSION;
        else
                head->flags |= request->has_group ? FSRV_WIRE_SET_GROUP : FSRV_WIRE_JOIN_GROUP;
        if (s->extra->until_ended) /* nobody is there to be told */
                head->flags &= ~(uint32_t)FSRV_WIRE_TELL_STOPS;
        if (s->extra->wants_status)
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

static int encode(struct fsrv__spawning *s, const struct fsrv__grip *grip) {
        const struct fsrv_request *request = s->request;
        char *only_name[] = { request->name, NULL };
        bool is_large = request->payload_size > FSRV_WIRE_MESSAGE_MAX; /* copied once, to where it goes */
        struct fsrv__request_parts parts = {
                .name = request->name,
                .search = search_path(request),
                .directory = request->directory ? request->directory : "",
                .argv = request->argv ? request->argv : only_name,
                .environment = request->environment ? request->environment : environ,
                .paths = request->paths,
                .payload = is_large ? NULL : request->payload,
                .head.payload_size = request->payload_size,
        };
        struct fsrv__wire_action *actions;

        int r = fill_head(s, grip, &parts.head);
        if (r < 0)
                return r;
        r = number_fds(s, &actions, &parts.head.n_actions);
        if (r == 0) {
                parts.actions = actions;
                parts.head.n_fds = (uint32_t)s->n_user_fds;
                r = fsrv__request_encode(&parts, &s->bytes, &s->size);
                free(actions);
        }
        return r < 0 ? fsrv__fail(s->error, FSRV_STAGE_ARGUMENT, -r, "encoding the request") : 0;
}

/* The body is too large for a message. */
static int put_into_memfd(struct fsrv__spawning *s) {
        struct fsrv__wire_request *head = fsrv__spawning_head(s);
        size_t here = s->size - sizeof *head, rest = head->body_size - here;
        const struct iovec parts[] = { { s->bytes + sizeof *head, here }, { (void *)s->request->payload, rest } };

        s->memfd = fsrv__sealed_memfd_of("forkserver request", parts, 2);
        if (s->memfd < 0)
                return fsrv__fail(s->error, FSRV_STAGE_ARGUMENT, -s->memfd, "a request of %llu bytes",
                                  (unsigned long long)head->body_size);
        head->flags |= FSRV_WIRE_BODY_IN_MEMFD;
        s->size = sizeof *head;
        return 0;
}

int fsrv__spawning_prepare(struct fsrv__spawning *s, const struct fsrv__grip *grip) {
        int r = encode(s, grip);

        if (r < 0)
                return r;
        struct fsrv__wire_request *head = fsrv__spawning_head(s);
        if (sizeof *head + head->body_size > FSRV_WIRE_MESSAGE_MAX && (r = put_into_memfd(s)) < 0)
                return r;
        s->tracker = grip->tracker;
        head->n_fds_here =
                (uint32_t)(s->n_user_fds < FSRV_WIRE_FIRST_FDS_MAX ? s->n_user_fds : FSRV_WIRE_FIRST_FDS_MAX);
        return 0;
}

void fsrv__spawning_done(struct fsrv__spawning *s) {
        fsrv__fd_close(s->memfd);
        free(s->bytes);
        free(s->user_fds);
}
