/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_SPAWNING_H
#define FSRV_CLIENT_SPAWNING_H

#include <stdbool.h>
#include <stdint.h>

#include "client/grip.h"
#include "client/prepared.h"
#include "forkserver.h"

/* One spawn, from the server's start to the process's handle: how far it has come, and its results. */
struct fsrv__spawning {
        struct fsrv_server *server;
        struct fsrv__prepared *prepared; /* borrowed; other spawns may use it as well */
        int64_t deadline;

        /* the results */
        struct fsrv_process *process; /* the caller's */
        int status;                   /* the status socket for the caller; -1 */
        int result;                   /* where the process puts its result, until `process` has it; -1 */
        struct fsrv_error error;

        enum {
                FSRV_SPAWNING_ACQUIRE, /* the server is being started */
                FSRV_SPAWNING_SEND,
                FSRV_SPAWNING_SEND_MORE, /* fds, of which a message has not all */
                FSRV_SPAWNING_HEAR,
                FSRV_SPAWNING_DYING,   /* is the server, after a process that said nothing? */
                FSRV_SPAWNING_EXECUTE, /* the program */
        } at;
        struct fsrv__pending pending;
        struct fsrv__grip grip;
        struct fsrv__link *locked; /* to the zygote of the request's sandbox; NULL: not yet, or it has none */
        int answer;
        int theirs[3]; /* the other ends, until they are sent: of answer, status, result; -1 */
        size_t n_sent; /* of the caller's fds */
        int full;      /* why it could not be sent just now: -errno */
        bool loads;    /* the process has begun to load a module: there is no second try */
        pid_t pid;
        int pidfd;
        int exec_pipe;
        int64_t dying_until;
        struct fsrv__wire_exited death; /* of a process that ran nothing */
        unsigned in_vain;               /* how often one ended without a word */
        int gone, lost;                 /* how many servers; how many processes of this one */

        int fd; /* what is waited for; -1: nothing but the time */
        short events;
        int64_t look_at; /* when to go on though nothing has happened there */
};

/* What a step may come to besides 0 and -errno. The reason for the last two does not lie in the request. */
enum {
        FSRV_STEP_WAIT = 1,
        FSRV_STEP_GO_ON,
        FSRV_STEP_SERVER_GONE,
        FSRV_STEP_NOTHING_RAN,
};

static inline int fsrv__spawning_wait_for(struct fsrv__spawning *s, int fd, short events, int64_t look_at) {
        s->fd = fd;
        s->events = events;
        s->look_at = look_at;
        return FSRV_STEP_WAIT;
}

/* The doorbell that the request goes to. */
static inline int fsrv__spawning_doorbell(const struct fsrv__spawning *s) {
        return s->locked ? s->locked->doorbell : s->grip.link->doorbell;
}

/* sending.c: two of the steps. */
int fsrv__spawning_send(struct fsrv__spawning *s);
int fsrv__spawning_send_more(struct fsrv__spawning *s);

/* spawning.c */
void fsrv__spawning_init(struct fsrv__spawning *s, struct fsrv_server *server, struct fsrv__prepared *prepared);
/* As far as it goes without waiting: 0; 1: it goes on when `fd` has one of `events`, or at `look_at`; -errno. */
int fsrv__spawning_step(struct fsrv__spawning *s);
/* Withdraws it, for the deadline (`why` is -ETIMEDOUT) or because the caller says so (-EINTR). -errno; or 0 or 1, as a
 * step, if the process has started. */
int fsrv__spawning_end(struct fsrv__spawning *s, int why);
/* Gives it up. 0: nothing of it runs, nor ever will; 1: it had started, and has been killed. */
int fsrv__spawning_cancel(struct fsrv__spawning *s);
/* Closes what it has, but for the process; the status socket is to be taken before. */
void fsrv__spawning_leave(struct fsrv__spawning *s);

/* stillborn.c: failures of processes that ended before they ran what they were to run; -errno each. After so many
 * tries: */
int fsrv__stillborn_vain(struct fsrv__spawning *s, int tries);
/* While its module was being loaded, the process ended; s->death says how, unless the server has died: */
int fsrv__stillborn_loading(struct fsrv__spawning *s);
/* While its module was being loaded, the time was over: */
int fsrv__stillborn_slow(struct fsrv__spawning *s);

#endif
