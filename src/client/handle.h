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
struct fsrv__link {
        atomic_int references;
        int doorbell;
};

/* What a handle may need, and what a launch brings. */
enum { FSRV_NEEDS_TRACKER = 1, FSRV_NEEDS_SERVER = 2 };

/*
 * A server, a resource tracker, or both, on their way to a handle. Whoever needs them takes the launch on, as far as it
 * goes without waiting, then waits until `changed` is readable, each with a deadline of its own; the handle's lock is
 * held for none of that. When who began it gives up, the next one finds it as far as it has come.
 */
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
        int theirs[5]; /* while it begins: what the new processes get; -1. A forked child must not keep these */
        pid_t anchor;  /* as the handle's */
        char *program; /* the server's, for texts */
        int result;
        struct fsrv_error error;
};

enum fsrv__server_kind { FSRV_SERVER_PRIVATE, FSRV_SERVER_NAMED, FSRV_SERVER_INHERITED };

struct fsrv_server {
        enum fsrv__server_kind kind;
        pthread_mutex_t lock; /* for all below; held over fork(), and by nobody who waits */
        struct fsrv_server *next, *previous;

        struct fsrv__config config; /* private: for the servers to come; `modules` and the rest are ours */
        char *helper_directory;
        void *data; /* for another zygote than ours; config.argv is its */
        size_t data_size;
        char *path; /* named */
        uid_t server_uid;

        struct fsrv__interrupt interrupt; /* who may end the waits of calls on this handle; set before it is used */
        struct fsrv__link *link;          /* NULL: not running, or not connected */
        int admin;                        /* private: to the server of `link`; else -1 */
        struct fsrv__launch *launch;      /* NULL: nothing is on its way */
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

/* What one spawn needs of the handle: valid until fsrv__server_release(), whatever others do to the handle. */
struct fsrv__grip {
        struct fsrv__link *link;
        int lifeline;
        int proc_status;
        int tracker; /* -1: none */
};

/* launching.c: makes sure that the server runs, and takes hold of it. Ends at the deadline, or when the handle's
 * interrupt says so. */
int fsrv__server_acquire(struct fsrv_server *server, int64_t deadline, struct fsrv__grip *ret_grip,
                         struct fsrv_error *error);
void fsrv__server_release(struct fsrv__grip *grip);

/* The same without waiting. */
struct fsrv__pending {
        struct fsrv__launch *launch; /* whose `changed` is to be polled */
        int64_t look_at;             /* when to look again though nothing has changed */
};
static inline unsigned fsrv__server_needs(const struct fsrv_server *server) {
        return FSRV_NEEDS_SERVER | (server->wants_tracker ? FSRV_NEEDS_TRACKER : 0);
}
/* 0; 1: it is on its way; -errno. In the end fsrv__server_try_no_more() has to be called. */
int fsrv__server_try(struct fsrv_server *server, unsigned needs, struct fsrv__pending *pending,
                     struct fsrv__grip *ret_grip, struct fsrv_error *error);
void fsrv__server_try_no_more(struct fsrv_server *server, struct fsrv__pending *pending);
/* What is said when the caller's time is over before the server is there: -ETIMEDOUT. */
int fsrv__server_time_out(const struct fsrv_server *server, struct fsrv_error *error);

/* Makes sure that the tracker runs. Its number, borrowed, or -errno. */
int fsrv__server_need_tracker(struct fsrv_server *server, struct fsrv_error *error);
/* The server behind this link is gone: the next acquire makes or finds another. */
void fsrv__server_forget(struct fsrv_server *server, const struct fsrv__link *link);
/* With the lock: gives up the server, or the one that is on its way. Its anchor; 0: none. */
pid_t fsrv__server_let_go(struct fsrv_server *server);
/* With the lock: puts a tracker's pipe, which it takes over, under the handle's number. 0 or -errno. */
int fsrv__server_install_tracker(struct fsrv_server *server, int fd);
/* In a forked child, with the lock: what a thread of the parent was about is not the child's. */
void fsrv__launch_abandon(struct fsrv_server *server);

/* link.c */
struct fsrv__link *fsrv__link_new(int doorbell); /* takes the fd over, also on failure; NULL: out of memory */
struct fsrv__link *fsrv__link_unref(struct fsrv__link *link);

/* launch.c: the first step, with the lock: sockets, and what lies in them for the new processes. 0; 1: there is no
 * memory for that now, or too many fds are in flight; -errno. */
int fsrv__launch_prepare(const struct fsrv_server *server, struct fsrv__launch *launch, struct fsrv_error *error);
/* The second, without: starts the processes. 0 or -errno. */
int fsrv__launch_start(const struct fsrv_server *server, struct fsrv__launch *launch, struct fsrv_error *error);
/* The third, with it: 0, the server is ready; 1: it has not said so yet; -errno. */
int fsrv__launch_answer(struct fsrv__launch *launch, struct fsrv_error *error);

/* anchors.c: the processes between us and our servers (client/start.h), which nobody else reaps. */
void fsrv__anchors_add(pid_t pid);
/* Reaps those that have ended, after waiting for this one; 0: for none. Whether that one has ended. */
bool fsrv__anchors_reap(pid_t pid, int64_t deadline);
/* Around fork(2), after all locks of handles. */
void fsrv__anchors_lock(void);
void fsrv__anchors_unlock(void);

/* connect.c: a named server's admin connection, with the server's uid checked. The fd or -errno. */
int fsrv__connect(const struct fsrv_server *server, struct fsrv_error *error);
/* Without waiting: asks for its doorbell. 0; 1: there is no room for that now, and nothing to poll for; -errno. */
int fsrv__attach_start(const struct fsrv_server *server, struct fsrv__launch *launch, struct fsrv_error *error);
/* 0; 1: the answer isn't here yet; -errno. */
int fsrv__attach_answer(const struct fsrv_server *server, struct fsrv__launch *launch, struct fsrv_error *error);
/* Sends one question and receives the answer into reply (size: its own). Fills *error from an answer that says no;
 * `whom` is for its text. *ret_doorbell, which may be NULL, is for that of ATTACH. */
int fsrv__ask(int admin, uint32_t question, const char *whom, const struct fsrv__interrupt *interrupt,
              struct fsrv__wire_reply *reply, size_t size, int *ret_doorbell, struct fsrv_error *error);
/* What a call says that was ended by who may: -EINTR. */
int fsrv__interrupted(struct fsrv_error *error, uint32_t stage);

#endif
