/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_SERVER_H
#define FSRV_CLIENT_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/wait.h"
#include "forkserver.h"
#include "wire/config.h"

/* A doorbell's sending end, in use by any number of spawns, even while the handle has gone over to the next server. */
struct fsrv_link {
        atomic_int references;
        int doorbell;
};

enum fsrv_server_kind { FSRV_SERVER_PRIVATE, FSRV_SERVER_NAMED, FSRV_SERVER_INHERITED };

struct fsrv_server {
        enum fsrv_server_kind kind;
        pthread_mutex_t lock; /* for all below; held over fork() */
        struct fsrv_server *next, *previous;

        struct fsrv_config config; /* private: for the servers to come; `modules` and the rest are ours */
        char *helper_directory;
        void *data; /* for another zygote than ours; config.argv is its */
        size_t data_size;
        char *path; /* named */
        uid_t server_uid;

        struct fsrv_interrupt interrupt; /* who may end the waits of calls on this handle; set before it is used */
        struct fsrv_link *link;          /* NULL: not running, or not connected */
        int admin;                       /* private: to the server of `link`; else -1 */
        bool wants_tracker;
        bool in_tree; /* private: a server below us in the tree of processes */
        pid_t anchor; /* between us and the server of `link`; 0: none, or another process's */
        int tracker;  /* the resource tracker's writing end; -1: not started. Its number stays when it is replaced */
        char *entry;  /* of fsrv_connect_to_new_process(); NULL: not set */

        /* Of this process, made anew in a forked child (owner tells): */
        pid_t owner;
        int lifeline_read;  /* goes along with every request */
        int lifeline_write; /* never written: closes when we end */
        int proc_status;    /* /proc/self/status; -1 if there is none */
};

/* What one spawn needs of the handle: valid until fsrv_server_release(), whatever others do to the handle. */
struct fsrv_grip {
        struct fsrv_link *link;
        int lifeline;
        int proc_status;
        int tracker; /* -1: none */
};

/* Makes sure that the server runs, and takes hold of it. */
int fsrv_server_acquire(struct fsrv_server *server, struct fsrv_grip *ret_grip, struct fsrv_error *error);
void fsrv_server_release(struct fsrv_grip *grip);
/* The server behind this link is gone: the next acquire makes or finds another. */
void fsrv_server_forget(struct fsrv_server *server, const struct fsrv_link *link);

struct fsrv_link *fsrv_link_new(int doorbell); /* takes the fd over, also on failure; NULL: out of memory */
struct fsrv_link *fsrv_link_unref(struct fsrv_link *link);

/* tracker.c: starts one if the handle has none yet; with s->lock held. 0 or -errno. */
int fsrv_tracker_ensure(struct fsrv_server *server, struct fsrv_error *error);

/* launch.c: starts a private server. On success the fds are the caller's. *ret_anchor may be 0. */
int fsrv_launch(const struct fsrv_server *server, int *ret_doorbell, int *ret_admin, pid_t *ret_anchor,
                struct fsrv_error *error);

/* anchors.c: the processes between us and our servers (client/start.h), which nobody else reaps. */
void fsrv_anchors_add(pid_t pid);
/* Reaps those that have ended, after waiting for this one; 0: for none. Whether that one has ended. */
bool fsrv_anchors_reap(pid_t pid, int64_t deadline);
/* Around fork(2), after all locks of handles. */
void fsrv_anchors_lock(void);
void fsrv_anchors_unlock(void);

/* connect.c: a named server's admin connection, with the server's uid checked; its doorbell. */
int fsrv_connect(const struct fsrv_server *server, struct fsrv_error *error);
int fsrv_attach(const struct fsrv_server *server, int *ret_doorbell, struct fsrv_error *error);
/* Sends one question and receives the answer into reply (size: its own). Fills *error from an answer that says no;
 * `whom` is for its text. */
int fsrv_ask(int admin, uint32_t type, const char *whom, const struct fsrv_interrupt *interrupt,
             struct fsrv_wire_reply *reply, size_t size, int *ret_fd, struct fsrv_error *error);
/* What a call says that was ended by who may: -EINTR. */
int fsrv_interrupted(struct fsrv_error *error, uint32_t stage);

#endif
