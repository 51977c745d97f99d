/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_LAUNCH_H
#define FSRV_CLIENT_LAUNCH_H

#include "client/handle.h"

/* A server, a resource tracker, or both, on their way to a handle. Each thread that needs them takes the launch on, as
 * far as it goes without waiting. Then it waits until `changed` is readable, with a deadline of its own and without the
 * handle's lock. If the thread that began gives up, the next one finds the launch as far as it has come. */
struct fsrv__launch {
        int references; /* all with the handle's lock */
        unsigned brings;
        enum {
                FSRV_LAUNCH_NEW,
                FSRV_LAUNCH_BEGINNING, /* a thread starts processes, without the lock */
                FSRV_LAUNCH_ASKED,     /* the server's answer is to come on `admin` */
                FSRV_LAUNCH_ENDED,     /* result */
        } state;
        bool is_stale; /* the handle was told of another preload list meanwhile, or to stop */
        bool in_tree;
        bool is_again;    /* the tracker is not the first one */
        bool has_tracker; /* the handle has it, so this is done */
        int64_t deadline; /* from the first step to the last */
        int changed;      /* an epoll that holds the next two */
        int ended;        /* an eventfd */
        int admin;
        int doorbell;
        int tracker;   /* its writing end */
        int theirs[5]; /* while it begins: the fds of the new processes; -1. A forked child must not keep them */
        pid_t anchor;  /* as the handle's */
        char *program; /* the server's, for texts */
        int result;
        struct fsrv_error error;
};

/* launching.c; all have the handle's lock. Makes a new launch and gives it to the handle. 0 or -errno. */
int fsrv__launch_new(struct fsrv_server *server, unsigned brings, struct fsrv_error *error);
struct fsrv__launch *fsrv__launch_ref(struct fsrv__launch *launch);
struct fsrv__launch *fsrv__launch_unref(struct fsrv__launch *launch);
/* Takes the launch on, as far as it goes without waiting; its state says how far. The lock is left while processes are
 * started. */
void fsrv__launch_advance(struct fsrv_server *server, struct fsrv__launch *launch);
/* Gives up a launch that is not waited for any more and is out of time. It is no reason for the next spawn to fail at
 * once. */
void fsrv__launch_drop_forgotten(struct fsrv_server *server);
/* The failure where the caller's time is over before the server is there: -ETIMEDOUT. */
int fsrv__launch_time_out(const struct fsrv_server *server, struct fsrv_error *error);

/* launch.c. The first step, with the lock, makes the sockets, and puts into them what the new processes find there. 0;
 * 1: there is no memory for that now, or too many fds are in flight; -errno. */
int fsrv__launch_prepare(const struct fsrv_server *server, struct fsrv__launch *launch, struct fsrv_error *error);
/* The second step, without the lock, starts the processes. 0 or -errno. */
int fsrv__launch_start(const struct fsrv_server *server, struct fsrv__launch *launch, struct fsrv_error *error);
/* The third step, with the lock, looks for the server's answer. 0: the server is ready; 1: it has not said so yet;
 * -errno. */
int fsrv__launch_answer(struct fsrv__launch *launch, struct fsrv_error *error);

/* connect.c. Asks a named server for its doorbell, without waiting. 0; 1: there is no room for that now, and nothing to
 * poll for; -errno. */
int fsrv__attach_start(const struct fsrv_server *server, struct fsrv__launch *launch, struct fsrv_error *error);
/* 0; 1: the answer isn't here yet; -errno. */
int fsrv__attach_answer(const struct fsrv_server *server, struct fsrv__launch *launch, struct fsrv_error *error);

#endif
