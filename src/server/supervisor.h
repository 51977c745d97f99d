/* SPDX-License-Identifier: MIT */
#ifndef FSRV_SERVER_SERVER_H
#define FSRV_SERVER_SERVER_H

/*
 * The supervisor: parent of zygote, standbys and workers, and the only one with state. One thread, one epoll loop;
 * never blocks on a send. What is owed (standbys, a refusal, an exit status) is state that it tries again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uthash.h>

#include "base/linux.h"
#include "wire/channel.h"
#include "wire/config.h"

/* Who an epoll event is for: the kind in the upper half, a pid or an fd in the lower. Events are looked up, not pointed
 * to: one handler may end what a later event of the same round was for. */
enum fsrv__source {
        FSRV_SOURCE_CLAIMS,
        FSRV_SOURCE_DOORBELL,
        FSRV_SOURCE_ORDERS, /* pid of the zygote */
        FSRV_SOURCE_ZYGOTE, /* pid */
        FSRV_SOURCE_CHILD,  /* pid */
        FSRV_SOURCE_ANSWER, /* pid */
        FSRV_SOURCE_LISTENER,
        FSRV_SOURCE_PEER, /* fd */
        FSRV_SOURCE_SIGNAL,
};

enum fsrv__role {
        FSRV_ROLE_STANDBY,
        FSRV_ROLE_WORKER,
        FSRV_ROLE_STRAY, /* not told of yet, or never: becomes a worker when it claims */
        FSRV_ROLE_RETIRED,
        FSRV_ROLE_HEIR, /* of the zygote; src/zygote/heir.h */
        /* a worker that was, as its client knows; no longer in the table. Its process group has the rest of its grace
         */
        FSRV_ROLE_ENDED,
};

struct fsrv__child {
        pid_t pid;
        enum fsrv__role role;
        int pidfd;
        int answer; /* to the client; -1 for a standby, and when nobody listens any more */
        int status; /* the stream socket for the seed's two words; -1: not asked for. Then it is this that says whether
                     * anybody listens: the client has closed its end of the answer */
        uint32_t flags;    /* of the request */
        bool timed_out;    /* ended by us */
        int64_t deadline;  /* FSRV_NEVER: none */
        uint64_t grace_ms; /* from SIGTERM at the deadline to SIGKILL */
        int64_t until;     /* ENDED: of the grace */
        /* of a standby */
        bool is_ready, is_late;
        int64_t since;
        struct fsrv__child *next_deadline, *previous_deadline;
        UT_hash_handle hh;
};

enum fsrv__zygote_state {
        FSRV_ZYGOTE_NONE,
        FSRV_ZYGOTE_LOADING,
        FSRV_ZYGOTE_READY,
        FSRV_ZYGOTE_FAILED, /* to be started again when somebody asks, after the back-off */
};

/* The status of a child that has ended, whose client's socket was full. */
struct fsrv__owed {
        struct fsrv__owed *next;
        int answer;
        struct fsrv__wire_exited exited;
};

struct fsrv__zygote {
        enum fsrv__zygote_state state;
        pid_t pid;
        int pidfd;
        int orders; /* while it loads: the boot socket */
        pid_t heir; /* as it was; 0: it has had none */
        bool has_forked, is_freezing;
        unsigned due;     /* FORK orders without an answer yet */
        bool is_late;     /* with the next one */
        bool is_killed;   /* by us */
        bool is_ending;   /* as we have told it */
        bool hangs;       /* its children do, since one took a request */
        int64_t deadline; /* of the loading; then of the next answer that is due */
        char loading[FSRV_WIRE_TEXT_MAX];
        struct fsrv__wire_failed failure; /* what it said before it ended, or what we found */
        /* failed starts in a row */
        unsigned failures;
        int64_t first_failure;
        /* standbys that ended before they took a request, since one took one */
        unsigned crashes;
        int64_t first_kill, last_kill;
        /* in a row; once it does less, for good: each try costs a zygote, or in its place a worker */
        unsigned killed_freezing;
};

struct fsrv__peer {
        int fd;
        uid_t uid;
        int64_t deadline;
        struct fsrv__peer *next;
};

struct fsrv__refusal {
        struct fsrv__wire_failed message;
        int64_t until; /* 0: none */
};

struct fsrv__supervisor {
        struct fsrv__config config;
        char zygote_program[4096];
        int program; /* O_PATH: the program that is to be started with config.argv instead; -1 */
        int data;    /* a memfd for the zygote's FSRV_ZYGOTE_DATA_FD; -1 */
        int output;  /* standard output of zygotes until one has loaded all; -1 */
        int epoll;
        int doorbell;      /* receiving end */
        int doorbell_send; /* a named server's, to hand out; else -1 */
        int claims[2];     /* [0] ours; [1] for zygotes to come */
        int listener;
        dev_t socket_device; /* what we bound, so that we don't remove a successor's */
        ino_t socket_inode;
        int signals; /* signalfd; -1 */
        bool has_sigchld;
        bool is_reaper; /* of orphans: the zygotes fork twice */
        bool doorbell_watched;
        bool draining;
        bool killing;
        unsigned room; /* fds for children */
        unsigned idle;
        unsigned ended;               /* FSRV_ROLE_ENDED */
        unsigned answers;             /* workers whose client is still there */
        unsigned statuses;            /* of them, those with a socket for the seed's two words */
        struct fsrv__child *children; /* hash by pid */
        struct fsrv__child *first_deadline, *last_deadline;
        struct fsrv__owed *owed;
        unsigned n_owed;
        int64_t next_look; /* at standbys that may hang; 0: none */
        struct fsrv__zygote zygote;
        struct fsrv__refusal refusal;
        struct fsrv__peer *peers;
        unsigned n_peers;
        int64_t started;
        struct fsrv__wire_stats stats;
};

/* events.c */
int fsrv__watch(struct fsrv__supervisor *s, int fd, uint32_t events, enum fsrv__source source, uint32_t id);
void fsrv__unwatch(struct fsrv__supervisor *s, int fd);
/* A line on standard error, from a named server; a private one is quiet. */
void fsrv__log(const struct fsrv__supervisor *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* loop.c */
/* Serves until it is over; the exit code. */
int fsrv__supervise(struct fsrv__supervisor *s);
/* Takes no new request: those on the doorbell are served, idle standbys then read its end. */
void fsrv__drain(struct fsrv__supervisor *s);

/* signals.c */
/* An inherited SIG_IGN of SIGCHLD would lose exit statuses. A private server is in its client's session: what the
 * terminal sends is for the client and its workers. As pid 1 it reaps orphans. */
int fsrv__signals_take(struct fsrv__supervisor *s);
/* From now on also SIGCHLD, which comes for stops and for orphans; nothing else of ours needs it. May be repeated. */
int fsrv__signals_take_children(struct fsrv__supervisor *s);

/* stops.c: what SIGCHLD may have come for */
void fsrv__stops_tell(struct fsrv__supervisor *s);

/* zygotes.c */
void fsrv__zygote_replenish(struct fsrv__supervisor *s);
void fsrv__zygote_on_orders(struct fsrv__supervisor *s, uint32_t pid);
void fsrv__zygote_on_exit(struct fsrv__supervisor *s, uint32_t pid);
bool fsrv__zygote_has_deadline(const struct fsrv__supervisor *s);
void fsrv__zygote_on_time(struct fsrv__supervisor *s, int64_t now);
void fsrv__zygote_kill(struct fsrv__supervisor *s);
/* The living child that tries a module; NULL: there is none. */
const struct fsrv__child *fsrv__zygote_heir(struct fsrv__supervisor *s);
/* It is needed no more: it may see to its own end, for a while. */
void fsrv__zygote_end(struct fsrv__supervisor *s);
/* A standby of its has ended before it took a request; was_late: we have killed it. */
void fsrv__zygote_on_standby_end(struct fsrv__supervisor *s, const struct fsrv__exit *exit, bool was_late);
/* How long the fork handlers of one process may take, before it gets half as long again. */
int64_t fsrv__zygote_fork_limit(const struct fsrv__supervisor *s);
/* One has taken a request. */
void fsrv__zygote_on_claim(struct fsrv__supervisor *s);

/* launch.c: 0, or -errno and the failure in s->zygote. */
int fsrv__zygote_launch(struct fsrv__supervisor *s);

/* children.c */
/* One more, below the limit of open files. */
bool fsrv__child_fits(const struct fsrv__supervisor *s);
struct fsrv__child *fsrv__child_find(struct fsrv__supervisor *s, pid_t pid);
/* A new child of ours in the table; NULL when out of memory or fds. */
struct fsrv__child *fsrv__child_add(struct fsrv__supervisor *s, pid_t pid, enum fsrv__role role);
/* The zygote tells of it. */
void fsrv__child_on_forked(struct fsrv__supervisor *s, pid_t pid);
void fsrv__child_on_exit(struct fsrv__supervisor *s, uint32_t pid);
void fsrv__child_on_hangup(struct fsrv__supervisor *s, uint32_t pid);
void fsrv__children_on_claims(struct fsrv__supervisor *s);
void fsrv__children_on_time(struct fsrv__supervisor *s, int64_t now);
void fsrv__children_watch_clients(struct fsrv__supervisor *s);
void fsrv__children_kill(struct fsrv__supervisor *s);
/* Takes a living child out of the table: its pidfd, which is the caller's and watched no more. -1: not there. */
int fsrv__child_release(struct fsrv__supervisor *s, pid_t pid);
/* Children that nobody has told of: they get this role. */
void fsrv__children_find(struct fsrv__supervisor *s, enum fsrv__role role);
/* As the reaper of orphans: everything dead, known or not. */
void fsrv__children_reap_all(struct fsrv__supervisor *s);

/* families.c: a worker and the process group that it leads */
void fsrv__child_kill(const struct fsrv__child *child);
/* At the limit SIGTERM, and SIGKILL after the grace; without a grace SIGKILL. */
void fsrv__family_limit(struct fsrv__supervisor *s, struct fsrv__child *child, uint64_t limit_ms, uint64_t grace_ms);
void fsrv__family_unlimit(struct fsrv__supervisor *s, struct fsrv__child *child);
void fsrv__families_on_time(struct fsrv__supervisor *s, int64_t now);
/* What has some of its grace left has none. */
void fsrv__families_kill(struct fsrv__supervisor *s);
/* The child is dead. */
void fsrv__family_before_reaping(const struct fsrv__child *child);
/* The child has been reaped. True: what it leaves behind is to be ended, and the child is kept for that. */
bool fsrv__family_outlives(struct fsrv__supervisor *s, struct fsrv__child *child);

/* standbys.c: those in which a fork handler hangs. */
void fsrv__standbys_watch(struct fsrv__supervisor *s, struct fsrv__child *standby);
void fsrv__standbys_on_time(struct fsrv__supervisor *s, int64_t now);

/* refusal.c */
/* For a time that doubles with each of the times that it happened before. */
void fsrv__refuse(struct fsrv__supervisor *s, unsigned times, uint32_t stage, int err, const char *text);
/* A process of ours has ended: where there was room for no more, there is now. */
void fsrv__refusal_on_end(struct fsrv__supervisor *s);
/* Whether requests on the doorbell are to be answered by us now; the answer. NULL: standbys will. */
const struct fsrv__wire_failed *fsrv__refusal_now(struct fsrv__supervisor *s);
/* Watches the doorbell while nobody else would, and only then. */
void fsrv__refusal_watch(struct fsrv__supervisor *s);
void fsrv__refusal_on_request(struct fsrv__supervisor *s);

/* peers.c */
int fsrv__listen(struct fsrv__supervisor *s);
void fsrv__unlisten(struct fsrv__supervisor *s);
void fsrv__peers_on_listener(struct fsrv__supervisor *s);
int fsrv__peer_add(struct fsrv__supervisor *s, int fd, uid_t uid, int64_t deadline);
void fsrv__peer_on_message(struct fsrv__supervisor *s, uint32_t fd);
void fsrv__peers_on_time(struct fsrv__supervisor *s, int64_t now);

#endif
