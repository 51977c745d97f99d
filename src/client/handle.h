/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_HANDLE_H
#define FSRV_CLIENT_HANDLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/wait.h"
#include "forkserver.h"
#include "wire/config.h"

/* A doorbell's sending end. Any number of spawns may use it, even after the handle has gone over to the next server. */
struct fsrv__link {
        atomic_int references;
        int doorbell;
        struct fsrv__sandbox_link *sandboxes; /* with the handle's lock */
};

/* The doorbell of a sandbox's zygote, which the server of another link has. */
struct fsrv__sandbox_link {
        struct fsrv__sandbox_link *next; /* used longer ago */
        struct fsrv__link *link;
        size_t size;
        char bytes[]; /* the sandbox */
};

/* What a handle may need, and what a launch brings. */
enum { FSRV_NEEDS_TRACKER = 1, FSRV_NEEDS_SERVER = 2 };

enum fsrv__server_kind { FSRV_SERVER_PRIVATE, FSRV_SERVER_NAMED, FSRV_SERVER_INHERITED };

struct fsrv_server {
        enum fsrv__server_kind kind;
        pthread_mutex_t lock; /* for all below; held over fork(), and never by a thread that waits */
        struct fsrv_server *next, *previous;

        struct fsrv__config config; /* private: for the servers to come; `modules` and the rest are ours */
        char *helper_directory;
        void *data; /* for another zygote than ours; config.argv is its */
        size_t data_size;
        char *path; /* named */
        uid_t server_uid;
        struct fsrv_sandbox *sandbox; /* of requests that have none; NULL: none */

        struct fsrv__interrupt interrupt; /* may end the waits of calls on this handle; set before the handle is used */
        struct fsrv__link *link;          /* NULL: not running, or not connected */
        int admin;                        /* private: to the server of `link`; else -1 */
        struct fsrv__launch *launch;      /* NULL: nothing is on its way (client/launch.h) */
        bool wants_tracker;
        bool in_tree; /* private: a server below us in the tree of processes */
        pid_t anchor; /* between us and the server of `link`; 0: none, or another process's */
        int tracker;  /* the resource tracker's writing end; -1: not started. Its number stays when it is replaced */
        char *entry;  /* of fsrv_connect_to_new_process(); NULL: not set */

        /* These are this process's. A forked child makes them anew, as `owner` tells it to: */
        pid_t owner;
        int lifeline_read;  /* goes along with every request */
        int lifeline_write; /* never written: closes when we end */
        int proc_status;    /* /proc/self/status; -1 if there is none */
};

/* link.c */
struct fsrv__link *fsrv__link_new(int doorbell); /* takes the fd over, also on failure; NULL: out of memory */
struct fsrv__link *fsrv__link_unref(struct fsrv__link *link);

/* sandbox_links.c */
/* The link to the sandbox's zygote at the server of `link`. If this handle has none yet, the server is asked for it;
 * what it refuses it says on `answer`, which stays the caller's. 0: *ret_link is the caller's to unref; -errno of
 * making or sending that message, without waiting. */
int fsrv__sandbox_link_get(struct fsrv_server *server, struct fsrv__link *link, const void *bytes, size_t size,
                           int answer, struct fsrv__link **ret_link);
/* Nothing listens there any more. */
void fsrv__sandbox_link_forget(struct fsrv_server *server, struct fsrv__link *link, const struct fsrv__link *gone);

/* anchors.c: the processes between us and our servers (client/start.h). They have to be reaped by us. */
void fsrv__anchors_add(pid_t pid);
/* Waits for this anchor (0: for none), then reaps all that have ended. Returns whether this one has ended. */
bool fsrv__anchors_reap(pid_t pid, int64_t deadline);
/* Taken around fork(2), after all locks of handles. */
void fsrv__anchors_lock(void);
void fsrv__anchors_unlock(void);

/* launching.c */
/* With the lock: gives up the server, or the one that is on its way. Returns its anchor; 0: there is none. */
pid_t fsrv__server_let_go(struct fsrv_server *server);
/* With the lock: puts a tracker's pipe, which it takes over, under the handle's number. 0 or -errno. */
int fsrv__server_install_tracker(struct fsrv_server *server, int fd);
/* With the lock, in a forked child: gives up what a thread of the parent was about to launch. */
void fsrv__launch_abandon(struct fsrv_server *server);

/* connect.c: a named server's admin connection, with the server's uid checked. The fd or -errno. */
int fsrv__connect(const struct fsrv_server *server, int64_t deadline, struct fsrv_error *error);
struct fsrv__question {
        uint32_t type;    /* not ATTACH: that brings an fd (client/launch.h) */
        const char *name; /* of the server, for texts */
        int64_t deadline; /* of the answer */
        const struct fsrv__interrupt *interrupt;
};
/* Asks, and receives the answer into reply (size: its own). Fills *error from an answer that says no. */
int fsrv__ask(int admin, const struct fsrv__question *question, struct fsrv__wire_reply *reply, size_t size,
              struct fsrv_error *error);
/* The same for a question that is answered by a file. */
int fsrv__ask_file(int admin, const struct fsrv__question *question, int *ret_file, struct fsrv_error *error);
/* The failure of a call that the caller's interrupt function has ended: -EINTR. */
int fsrv__interrupted(struct fsrv_error *error, uint32_t stage);

#endif
