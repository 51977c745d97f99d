/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_SPAWN_H
#define FSRV_CLIENT_SPAWN_H

#include <stdbool.h>
#include <stdint.h>

#include "client/server.h"
#include "forkserver.h"
#include "wire/request.h"

/* What a call adds to the request; borrowed. */
struct fsrv_spawn_extra {
        int streams[3];    /* over what the request maps to the standard streams; -1: none */
        int data;          /* for fsrv_worker_get_data(); -1: none */
        bool wants_status; /* a socket with the seed's two words */
        bool until_ended;  /* return when the process has ended, without having been woken for its start */
};
#define FSRV_SPAWN_EXTRA_NONE \
        { { -1, -1, -1 }, -1, false, false }

/* A request on its way: made once, sent until somebody runs it. */
struct fsrv_spawning {
        const struct fsrv_request *request;
        const struct fsrv_spawn_extra *extra;
        struct fsrv_error *error;
        int64_t deadline;
        const struct fsrv_interrupt *interrupt;
        char *bytes; /* head and body; NULL: not prepared yet */
        size_t size;
        int memfd;   /* the body, when it's too large for a message; else -1 */
        int *memory; /* of all fds */
        int *fds;    /* the message's, n_fds; all borrowed but the memfd */
        size_t n_fds;
        int *user_fds; /* the caller's in it and behind it */
        size_t n_user_fds;
        bool loads;                    /* the process has begun to load a module: there is no second try */
        struct fsrv_wire_exited death; /* of a process that ran nothing */
        unsigned in_vain;              /* how often one ended without a word */
};

static inline struct fsrv_wire_request *fsrv_spawning_head(const struct fsrv_spawning *s) {
        return (struct fsrv_wire_request *)s->bytes;
}

/* prepare.c */
int fsrv_spawning_prepare(struct fsrv_spawning *s, const struct fsrv_grip *grip);
void fsrv_spawning_done(struct fsrv_spawning *s);

/* stillborn.c: processes that ended before they ran what they were to run; -errno each. After so many tries: */
int fsrv_stillborn_vain(const struct fsrv_spawning *s, int tries);
/* While its module was being loaded: its end, which s->death has unless the server has died; */
int fsrv_stillborn_loading(const struct fsrv_spawning *s);
/* or the end of our patience. */
int fsrv_stillborn_slow(const struct fsrv_spawning *s);

/* fsrv_spawn() with more. *ret_status, if wanted, is the caller's. */
int fsrv_spawn_with(struct fsrv_server *server, const struct fsrv_request *request,
                    const struct fsrv_spawn_extra *extra, struct fsrv_process **ret_process, int *ret_status,
                    struct fsrv_error *error);

#endif
