/* SPDX-License-Identifier: MIT */
#ifndef FSRV_SERVER_SERVER_H
#define FSRV_SERVER_SERVER_H

/*
 * The server: the parent of zygotes, standbys and workers, and the only process with state. It has one thread and one
 * epoll, and never blocks on a send.
 *
 * One turn of its loop has five phases (loop.c): it waits; it receives all that was sent; it reaps the dead; it decides
 * what follows from that and from the time; and what is owed goes out. A handler records what it finds out and calls
 * only files below its own. The order of the declarations here is that of the files, the lowest first.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>
#include <uthash.h>

#include "base/linux.h"
#include "wire/channel.h"
#include "wire/config.h"

#include "server/histogram.h"

/* So many connections are taken in a turn: others may come as fast, and the rest of the turn must not wait. */
enum { FSRV_ACCEPTS_MAX = 16 };

/* What an epoll event is about: the source in the upper half, an id in the lower. Events are looked up by it and don't
 * point to anything: one handler may end what a later event of the same turn is about. */
enum fsrv__source {
        FSRV_SOURCE_SIGNAL,
        FSRV_SOURCE_ORDERS,   /* a zygote's id */
        FSRV_SOURCE_CLAIMS,   /* a zygote's id */
        FSRV_SOURCE_DOORBELL, /* a zygote's id */
        FSRV_SOURCE_REFUSED,  /* an fd: a filter has refused a call */
        FSRV_SOURCE_LISTENER,
        FSRV_SOURCE_PEER,  /* an fd */
        FSRV_SOURCE_FILES, /* loaded files have changed */
        FSRV_SOURCE_METRICS,
        FSRV_SOURCE_SCRAPE, /* an fd */
        FSRV_SOURCE_ANSWER, /* a pid: its client has gone */
        FSRV_SOURCE_DEATH,  /* a pid */
};

enum fsrv__role {
        FSRV_ROLE_STANDBY,
        FSRV_ROLE_WORKER,
        FSRV_ROLE_STRAY, /* its zygote has not told of it yet, or never will: it becomes a worker when it claims */
        FSRV_ROLE_RETIRED,
        FSRV_ROLE_HEIR, /* src/zygote/heir.h */
        /* It was a worker, and its client has been told. It is no longer in the table; its process group has the rest
         * of its grace. */
        FSRV_ROLE_ENDED,
};

struct fsrv__child {
        pid_t pid;
        struct fsrv__zygote *zygote; /* that forked it; NULL: not known, but known of a standby */
        enum fsrv__role role;
        int pidfd;
        int answer; /* to the client; -1 for a standby, and when no client listens any more */
        int status; /* the stream socket for the two words of the classic calls; -1: not asked for. Where there is one,
                     * it shows whether the client listens: that has closed its end of the answer */
        uint32_t flags;    /* of the request */
        bool timed_out;    /* we have ended it */
        uint32_t refused;  /* calls, by its sandbox's filter */
        int refused_call;  /* the first of them */
        bool was_refused;  /* we have ended it for that */
        int64_t deadline;  /* FSRV_NEVER: none */
        uint64_t grace_ms; /* from SIGTERM at the deadline to SIGKILL */
        int64_t until;     /* ENDED: the end of the grace */
        /* of a standby: its fork handlers have run; they had not, at the last look, and before it; at this turn's */
        bool is_ready, is_late, hangs;
        bool retires, is_stopped; /* retire.c */
        bool goes_on;             /* we have let it go on: of that its client is not to hear */
        int64_t since;            /* as a standby */
        uint64_t claimed_us;      /* as a worker */
        pid_t client;             /* that asked for it */
        uid_t uid;
        struct fsrv__child *next_deadline, *previous_deadline;
        UT_hash_handle hh;
};

/* A child has ended, and its client's socket was full: the status is owed. */
struct fsrv__owed {
        struct fsrv__owed *next;
        int answer;
        struct fsrv__wire_exited exited;
};

/* While no standby can be had the server answers a zygote's requests with this. */
struct fsrv__refusal {
        struct fsrv__wire_failed message;
        int64_t until; /* 0: there is none */
};

/* zygotes.c has the table of what each of them does at each event. */
enum fsrv__zygote_state {
        FSRV_ZYGOTE_ABSENT,   /* there is no process; the next one is started as soon as nothing is refused */
        FSRV_ZYGOTE_FAILED,   /* there is none; the next one is started when a request comes, after the back-off */
        FSRV_ZYGOTE_ORDERED,  /* the first zygote has been told to fork it */
        FSRV_ZYGOTE_LOADING,  /* it loads modules, or locks itself in, within a time limit */
        FSRV_ZYGOTE_FREEZING, /* it sees to its memory, within the same limit */
        FSRV_ZYGOTE_READY,    /* it forks standbys, each within a time limit */
        FSRV_ZYGOTE_SLOW,     /* it has not answered a FORK in time, and gets half the limit more */
        FSRV_ZYGOTE_ENDING,   /* it was told to end, and may see to it for a while */
        FSRV_ZYGOTE_KILLED,   /* by us: its death is to come */
        FSRV_ZYGOTE_STATES
};

enum fsrv__zygote_event {
        FSRV_EVENT_NONE,   /* of no state */
        FSRV_EVENT_WANTED, /* nothing keeps it from serving */
        FSRV_EVENT_ASKED,  /* there is a request that nothing refuses */
        FSRV_EVENT_LATE,   /* the state's time is over */
        FSRV_EVENT_END,    /* the server drains, or nobody can ring the doorbell any more */
        FSRV_EVENT_CLOSED, /* the end of its orders socket */
        FSRV_EVENT_DEATH,
        /* what it says on its orders socket; see enum fsrv__wire_order_type */
        FSRV_EVENT_LOADING,
        FSRV_EVENT_LOAD_FAILED,
        FSRV_EVENT_FREEZING,
        FSRV_EVENT_PRELOADED,
        FSRV_EVENT_FORKED,
        FSRV_EVENT_CANNOT_FORK,
        FSRV_EVENT_WANTS_HEIR,
        FSRV_EVENT_HEIR,
        FSRV_EVENT_HAND_OVER,
        FSRV_EVENT_LEFT_OUT,
        FSRV_EVENT_BORN,
        FSRV_EVENTS
};

/* A zygote as the server has it: the sockets and counters outlive its processes, of which there is one at a time. */
struct fsrv__zygote {
        struct fsrv__zygote *next;
        uint32_t id;
        enum fsrv__zygote_state state; /* fsrv__zygote_become() alone writes it */
        int64_t deadline;              /* of the state; FSRV_NEVER */
        int doorbell;                  /* receiving end */
        int doorbell_send;             /* a named server's, to hand out; else -1 */
        bool doorbell_watched;         /* for requests; its hang-up always is */
        bool is_deserted;              /* the doorbell has hung up */
        int claims[2];                 /* [0] ours; [1] for the processes to come */
        int sandbox;                   /* a memfd: what it locks itself in by; -1: it has loaded the modules itself */
        bool is_old;                   /* it is to end, and its standbys take no more requests: they retire */
        bool is_gone;                  /* another one has taken its place, or it could not take another one's */
        struct fsrv__refusal refusal;
        unsigned idle; /* standbys */

        /* the process */
        pid_t pid; /* 0: none */
        int pidfd;
        int orders; /* until it has preloaded: the boot socket */
        pid_t heir; /* as it was; 0: it has had none */
        char loading[FSRV_WIRE_TEXT_MAX];
        int64_t since;                    /* its start */
        unsigned due;                     /* FORK orders without an answer yet */
        uint64_t ordered_us;              /* when the oldest of them, as far as we know, was given */
        unsigned forked;                  /* standbys */
        struct fsrv__wire_failed failure; /* what it said before it ended, or what we found; stage 0: nothing */

        /* the ones before it */
        uint64_t starts;
        unsigned failures; /* failed starts in a row */
        unsigned lost_births;
        int64_t first_failure;
        unsigned
                killed_freezing; /* in a row; from FSRV_WIRE_KILLED on it does less for good: each try costs a zygote */
        unsigned crashes;        /* standbys that ended before they took a request, since one took one */
        unsigned hung;           /* those of them that had to be ended */
        int64_t first_kill, last_kill;
        struct fsrv__wire_memory memory;
        char left_out[FSRV_WIRE_TEXT_MAX];
};

struct fsrv__peer {
        int fd;
        uid_t uid;
        int64_t deadline;
        unsigned reload;  /* the number of the reload that it waits for; 0: none */
        bool has_sockets; /* it is a server that is about to take over */
        struct fsrv__peer *next;
};

/* A connection to the metrics socket. */
struct fsrv__scrape {
        int fd;
        int64_t deadline;
        bool is_answered;
        struct fsrv__scrape *next;
};

/* What struct fsrv__wire_stats doesn't count. */
struct fsrv__counts {
        uint64_t exit_failures, timed_out, refused, refused_kills;
        struct fsrv__histogram queue, fork, run;
};

/* The system-call filter of a zygote, and of all that came from it. */
struct fsrv__filter {
        int listener;
        bool kills; /* a process for a refused call */
        struct fsrv__filter *next;
};

/* What a supervisor wants to hear: systemd's notifications, and a newline at an fd. */
struct fsrv__supervisor {
        int socket;          /* connected; -1 */
        int ready;           /* -1: it is not wanted, or has been said */
        int64_t watchdog_ms; /* between two signs of life; 0: none are wanted */
        int64_t next_sign;
        bool has_journal; /* standard error is the journal */
};

/* A file that a zygote has mapped. */
struct fsrv__file {
        char *path;
        dev_t device;
        ino_t inode;
        struct timespec mtime;
};

struct fsrv__files {
        int inotify; /* -1 */
        struct fsrv__file *list;
        size_t n;
        int64_t look;   /* for missing ones; FSRV_NEVER */
        int64_t reload; /* when no event has come for a while; FSRV_NEVER */
        int64_t wait_ms;
        char replaced[FSRV_WIRE_TEXT_MAX];
};

/* What is to become of the server. */
enum fsrv__wish { FSRV_WISH_SERVE, FSRV_WISH_DRAIN, FSRV_WISH_KILL };

struct fsrv__server {
        struct fsrv__config config;
        char zygote_program[4096];
        int program; /* O_PATH: the program that is to be started with config.argv instead; -1 */
        int data;    /* a memfd for the zygote's FSRV_ZYGOTE_DATA_FD; -1 */
        int output;  /* standard output of zygotes until one has loaded all; -1 */
        int sandbox; /* a memfd: what the first zygote locks itself in by; -1 */
        int epoll;
        int listener;
        dev_t socket_device; /* what we bound, so that we don't remove a successor's */
        ino_t socket_inode;  /* 0: somebody else has made it, and removes it */
        int signals;         /* signalfd; -1 */
        bool has_sigchld;
        bool has_terminal;    /* a named server had a controlling one when it started */
        bool has_changes;     /* SIGCHLD has come in this turn */
        bool is_reaper;       /* of orphans: the zygotes fork twice */
        enum fsrv__wish wish; /* what was asked for; the next two say what has begun */
        unsigned n_ends;      /* signals that have asked for the end */
        bool draining;
        bool killing;
        bool takes_over; /* another server listens: when the modules are loaded, all that it has is ours */
        int exit_code;
        struct fsrv__zygote *zygotes; /* the first one has loaded all; it forks those in sandboxes */
        struct fsrv__zygote *next;    /* in the list too: loads all anew, to be the first one; NULL */
        uint32_t last_zygote;
        bool has_served;                         /* the first zygote has been ready once */
        unsigned reload;                         /* the number of the last reload that was begun */
        unsigned reload_over;                    /* of the last one that is over, with all standbys of before */
        bool wants_reload;                       /* one more is asked for */
        struct fsrv__wire_failed reload_failure; /* of the last one; stage 0: it has not failed */
        unsigned retiring;                       /* standbys that are to stop */
        int64_t next_stop_look;                  /* at them; 0: none */
        struct fsrv__files files;                /* that the first zygote has loaded */
        struct fsrv__supervisor supervisor;
        struct fsrv__child *children; /* hash by pid */
        struct fsrv__child *first_deadline, *last_deadline;
        struct fsrv__owed *owed;
        struct fsrv__peer *peers;
        struct fsrv__filter *filters;
        int metrics;        /* a socket; -1 */
        char *metrics_path; /* NULL: it doesn't listen yet, or has a port */
        dev_t metrics_device;
        ino_t metrics_inode;
        struct fsrv__scrape *scrapes;
        unsigned n_scrapes;
        struct fsrv__counts counts;
        unsigned room;     /* fds for children */
        unsigned ended;    /* FSRV_ROLE_ENDED */
        unsigned answers;  /* workers that have a client still */
        unsigned statuses; /* of them, those with a socket for the two words */
        unsigned n_owed;
        unsigned n_peers;
        int64_t next_look; /* at standbys that may hang; 0: none */
        int64_t started;
        struct fsrv__wire_stats stats; /* what is counted for all zygotes together */
};

/* ---- events.c: what lies below all ---- */

int fsrv__watch(struct fsrv__server *s, int fd, uint32_t events, enum fsrv__source source, uint32_t id);
/* Other events of an fd that is watched. */
void fsrv__rewatch(struct fsrv__server *s, int fd, uint32_t events, enum fsrv__source source, uint32_t id);
void fsrv__unwatch(struct fsrv__server *s, int fd);

/* ---- log.c ---- */

/* As syslog(3) numbers them. */
enum fsrv__level { FSRV_ERROR = 3, FSRV_WARNING = 4, FSRV_INFO = 6 };
/* A line on standard error, from a named server; a private one is quiet. What nobody reads, or there is no room for, is
 * lost, and the number of lost lines is told as soon as that is possible. */
void fsrv__log(const struct fsrv__server *s, enum fsrv__level level, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* ---- supervisor.c ---- */

/* Takes what the environment says of a supervisor out of it. */
void fsrv__supervisor_init(struct fsrv__server *s);
/* Says this in the words of sd_notify(3), if somebody listens: whole lines, and a status, which may be empty. */
void fsrv__supervisor_say(const struct fsrv__server *s, const char *fields, const char *status, ...)
        __attribute__((format(printf, 3, 4)));
/* The modules are loaded. */
void fsrv__supervisor_say_ready(struct fsrv__server *s);
void fsrv__supervisor_on_time(struct fsrv__server *s, int64_t now);

/* ---- failures.c: what is said when no standby can be had ---- */

enum fsrv__failure {
        FSRV_FAILURE_START,         /* a step of starting the zygote: err, what */
        FSRV_FAILURE_DEATH,         /* of the zygote: how */
        FSRV_FAILURE_LATE,          /* it took too long to load */
        FSRV_FAILURE_FORK,          /* err: it cannot fork */
        FSRV_FAILURE_FORK_HANGS,    /* it did not answer */
        FSRV_FAILURE_BIRTH,         /* a zygote in a sandbox has ended in a fork handler */
        FSRV_FAILURE_MIDDLE_HANGS,  /* nor did the process between zygote and standby */
        FSRV_FAILURE_STANDBY,       /* a standby's death: how */
        FSRV_FAILURE_STANDBY_HANGS, /* it was not ready in time */
};

struct fsrv__failure_of {
        enum fsrv__failure kind;
        int err;
        const char *what;
        const struct fsrv__exit *how;
};

/* How long the fork handlers of one process may take, before it gets half as long again. */
int64_t fsrv__fork_limit(const struct fsrv__server *s);
/* The message to clients, with stage, errno and sentence. */
struct fsrv__wire_failed fsrv__failure_describe(const struct fsrv__server *s, const struct fsrv__zygote *z,
                                                struct fsrv__failure_of failure);

/* ---- families.c: a worker and the process group that it leads ---- */

void fsrv__child_kill(const struct fsrv__child *child);
/* The family gets SIGTERM at the limit and SIGKILL after the grace; without a grace it gets SIGKILL at the limit. */
void fsrv__family_limit(struct fsrv__server *s, struct fsrv__child *child, uint64_t limit_ms, uint64_t grace_ms);
void fsrv__family_unlimit(struct fsrv__server *s, struct fsrv__child *child);
void fsrv__families_on_time(struct fsrv__server *s, int64_t now);
/* Ends what still has some of its grace. */
void fsrv__families_kill(struct fsrv__server *s);
/* Call it when the child is dead and not reaped yet. */
void fsrv__family_before_reaping(const struct fsrv__child *child);
/* Call it when the child has been reaped. True: the rest of its family is to be ended, and the child is kept for that.
 */
bool fsrv__family_outlives(struct fsrv__server *s, struct fsrv__child *child);

/* ---- answers.c: the sockets to clients ---- */

/* Gives a worker its sockets, which it owns then. status: the socket for the two words, the first of which goes out; or
 * -1. */
void fsrv__answer_begin(struct fsrv__server *s, struct fsrv__child *child, int answer, int status);
/* Closes the sockets: no client listens any more. */
void fsrv__answer_end(struct fsrv__server *s, struct fsrv__child *child);
/* The client has gone, or has closed the handle. */
void fsrv__answer_on_hangup(struct fsrv__server *s, struct fsrv__child *child);
/* Does the same if the client has gone. Nothing promises which event comes first: the death, or the hang-up that is to
 * end the whole family. */
void fsrv__answer_look_for_hangup(struct fsrv__server *s, struct fsrv__child *child);
/* Tells the client of the end, now or as soon as its socket has room. The answer socket is the child's no more. */
void fsrv__answer_deliver(struct fsrv__server *s, struct fsrv__child *child, const struct fsrv__wire_exited *exited);
/* Tries again to send what is owed. */
void fsrv__answers_retry(struct fsrv__server *s);
/* Watches all clients from now on: the server drains. */
void fsrv__answers_watch(struct fsrv__server *s);

/* ---- children.c: the table ---- */

/* Whether one more child fits below the limit of open files. */
bool fsrv__child_fits(const struct fsrv__server *s);
/* NULL: there is none. */
struct fsrv__child *fsrv__child_find(const struct fsrv__server *s, pid_t pid);
/* Puts a new child of ours into the table; z may be NULL. NULL: there is no memory, no fd, or no such child. */
struct fsrv__child *fsrv__child_add(struct fsrv__server *s, struct fsrv__zygote *z, pid_t pid, enum fsrv__role role);
/* The zygote says that it has forked this child, which is a standby or its heir. */
void fsrv__child_on_forked(struct fsrv__server *s, struct fsrv__zygote *z, pid_t pid, enum fsrv__role role);
/* Changes the role, and keeps count of the zygote's standbys. */
void fsrv__child_become(struct fsrv__server *s, struct fsrv__child *child, enum fsrv__role role);
/* Takes the child out of the table, closes its fds and frees it. */
void fsrv__child_forget(struct fsrv__server *s, struct fsrv__child *child);
/* Takes a living child out of the table. Its pidfd, which is the caller's now and not watched; -1: there is none. */
int fsrv__child_release(struct fsrv__server *s, pid_t pid);
/* Finds children that no zygote has told of. They get this role, and this zygote, which may be NULL. */
void fsrv__children_find(struct fsrv__server *s, struct fsrv__zygote *z, enum fsrv__role role);
/* Ends all children with their families. */
void fsrv__children_kill(struct fsrv__server *s);

/* ---- refusals.c ---- */

/* Refuses the zygote's requests for a time, which doubles with each of the times that it happened before. */
void fsrv__refuse(struct fsrv__server *s, struct fsrv__zygote *z, unsigned times, const struct fsrv__wire_failed *why);
/* A worker has ended: where there was no room for one more process, there is now. */
void fsrv__refusals_on_end(struct fsrv__server *s);
/* Ends those whose time is over. */
void fsrv__refusals_on_time(struct fsrv__server *s, int64_t now);
/* What the server has to answer to requests now; NULL: standbys take them. */
const struct fsrv__wire_failed *fsrv__refusal_now(const struct fsrv__server *s, const struct fsrv__zygote *z);
/* Watches the doorbell while no standby does, and only then. */
void fsrv__refusal_watch(struct fsrv__server *s, struct fsrv__zygote *z);
/* Receives the requests that are to be refused, and refuses them. */
void fsrv__refusal_send(struct fsrv__server *s, struct fsrv__zygote *z);

/* ---- signals.c ---- */

/* Sets all signals up. An inherited SIG_IGN of SIGCHLD would lose exit statuses. A private server is in its client's
 * session and job: what the terminal or a batch system sends to all is for the client, with which the server ends. 0 or
 * -errno. */
int fsrv__signals_take(struct fsrv__server *s);
/* Takes SIGCHLD too from now on, which only stops and orphans need. It may be repeated. 0 or -errno. */
int fsrv__signals_take_children(struct fsrv__server *s);
/* Records what the signals that have come ask for. */
void fsrv__signals_receive(struct fsrv__server *s);

/* ---- retire.c: standbys of a zygote whose place another one has taken ---- */

/* A standby may have taken a request of which nothing has come in yet. So it is stopped first. When it stands still and
 * all claims have come in, it is a worker, which goes on, or is ended. If it had a request, it has not claimed it: the
 * client reads end-of-file and asks again. */
void fsrv__standby_retire(struct fsrv__server *s, struct fsrv__child *standby);
/* The same for all of this zygote's. */
void fsrv__standbys_retire(struct fsrv__server *s, const struct fsrv__zygote *z);
/* If it is time, looks which of them have stopped, and returns true. The caller then receives all claims, and ends
 * those that are standbys still. */
bool fsrv__retiring_look(struct fsrv__server *s, int64_t now);
void fsrv__retiring_end(struct fsrv__server *s);

/* ---- files.c: what a zygote has loaded, and whether it is still what lies on the disk ---- */

/* Finds the files that the first zygote has mapped, and watches them. */
void fsrv__files_take(struct fsrv__server *s);
void fsrv__files_on_change(struct fsrv__server *s);
void fsrv__files_on_time(struct fsrv__server *s, int64_t now);

/* ---- reload.c: a new zygote beside the first one ---- */

/* Asks for one more; the number that it will have. */
unsigned fsrv__reload_ask(struct fsrv__server *s);
/* Whether the next turn has something to follow, whatever else happens. */
bool fsrv__reload_is_due(const struct fsrv__server *s);
/* Begins what was asked for, and finds out whether it is over. */
void fsrv__reload_follow(struct fsrv__server *s);
/* The new zygote has loaded all: it is the first one from now on. */
void fsrv__reload_succeed(struct fsrv__server *s);
/* It has not, for z->failure. */
void fsrv__reload_fail(struct fsrv__server *s);
/* The server drains. */
void fsrv__reload_give_up(struct fsrv__server *s);
/* Closes all doorbells, which are another server's. If this one kept their receiving ends, requests would wait for it
 * when the other one has died. */
void fsrv__zygotes_let_go(struct fsrv__server *s);
/* All zygotes end, and their standbys take no more requests. */
void fsrv__zygotes_retire(struct fsrv__server *s);

/* ---- zygote_state.c ---- */

/* Whether it is in a sandbox, and forked by the first one. */
bool fsrv__zygote_is_locked(const struct fsrv__zygote *z);
/* Whether its doorbell is to be answered for: it serves, or will. */
bool fsrv__zygote_serves(const struct fsrv__server *s, const struct fsrv__zygote *z);

/* Adds a zygote without a process. It takes over this doorbell, of which the sending end may be -1, and the memfd of
 * its sandbox; -1: it has none. On failure too. 0 or -errno. */
int fsrv__zygote_add(struct fsrv__server *s, int doorbell, int doorbell_send, int sandbox);
/* Whether it is of no use any more: another one has its place; or it is in a sandbox, and nobody can ring its doorbell.
 */
bool fsrv__zygote_is_unwanted(const struct fsrv__zygote *z);
/* Frees those of them of which no process is left that could say anything. */
void fsrv__zygotes_sweep(struct fsrv__server *s);
/* Whether it still has modules to load, or its memory to see to. */
bool fsrv__zygote_is_starting(const struct fsrv__zygote *z);
/* Changes the state, and sets its deadline. */
void fsrv__zygote_become(const struct fsrv__server *s, struct fsrv__zygote *z, enum fsrv__zygote_state state);
/* Its process has to be there. */
void fsrv__zygote_kill(const struct fsrv__server *s, struct fsrv__zygote *z);
/* Notes why it ends, if it has not said so itself. */
void fsrv__zygote_blame(const struct fsrv__server *s, struct fsrv__zygote *z, struct fsrv__failure_of failure);

/* ---- zygote_start.c ---- */

/* Starts its process. 0; or -errno, and z->failure says why. */
int fsrv__zygote_start(struct fsrv__server *s, struct fsrv__zygote *z);

/* ---- heirs.c ---- */

/* The zygote's heir; NULL: there is none. */
const struct fsrv__child *fsrv__heir_of(const struct fsrv__server *s, const struct fsrv__zygote *z);
/* Makes the server the parent of orphans, as a zygote that forks twice needs it. 0 or -errno. */
int fsrv__become_reaper(struct fsrv__server *s);
void fsrv__heir_allow(struct fsrv__server *s, struct fsrv__zygote *z, bool forks_twice);
void fsrv__heir_on_born(struct fsrv__server *s, struct fsrv__zygote *z, pid_t pid);
/* The heir is the zygote from now on. */
void fsrv__heir_succeed(struct fsrv__server *s, struct fsrv__zygote *z);
void fsrv__heir_on_left_out(const struct fsrv__server *s, struct fsrv__zygote *z, const char *why);

/* ---- locked_start.c: the same for a zygote in a sandbox ---- */

/* Whether the first zygote can fork it now. */
bool fsrv__locked_can_start(const struct fsrv__server *s);
/* Has the first zygote fork it. As fsrv__zygote_start(). */
int fsrv__locked_start(struct fsrv__server *s, struct fsrv__zygote *z);
/* It says that it is this process. 0 or -errno. */
int fsrv__locked_on_born(struct fsrv__server *s, struct fsrv__zygote *z, pid_t pid);

/* ---- standbys.c ---- */

/* Orders as many standbys as are wanted and fit. */
void fsrv__standbys_order(struct fsrv__server *s, struct fsrv__zygote *z);
/* An order has been answered: by a standby's pid; or by an errno, or if that is 0 by the wait status of the process
 * between zygote and standby, which ended by itself. */
void fsrv__standbys_on_forked(struct fsrv__server *s, struct fsrv__zygote *z, pid_t pid);
void fsrv__standbys_on_cannot_fork(struct fsrv__server *s, struct fsrv__zygote *z, int err, int status);
/* A standby has ended before it took a request. was_late: we have killed it, since it was not ready in time. */
void fsrv__standbys_on_end(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__exit *how, bool was_late);
/* A standby has taken a request. */
void fsrv__standbys_on_claim(struct fsrv__zygote *z);
/* If it is time, looks at the standbys that have waited for long, and returns true. The caller then receives all
 * claims, and ends those that hang. */
bool fsrv__standbys_look(struct fsrv__server *s, int64_t now);
void fsrv__standbys_end_hung(struct fsrv__server *s);

/* ---- refused.c: the listeners of system-call filters ---- */

/* Takes the listener of a zygote's filter over. */
void fsrv__refused_listen(struct fsrv__server *s, int listener, bool kills);
/* A call waits for its answer, which is that it is refused; it is noted for the worker's client. */
void fsrv__refused_on_event(struct fsrv__server *s, uint32_t fd, uint32_t events);

/* ---- listener.c: a named server's socket ---- */

/* Takes this socket, which somebody else has made; -1: makes one, unless a server listens there. 0 or -errno. */
int fsrv__listen(struct fsrv__server *s, int given);
/* Removes it, if it is its own. */
void fsrv__unlisten(struct fsrv__server *s);

/* ---- connections.c: admin connections ---- */

int fsrv__peer_add(struct fsrv__server *s, int fd, uid_t uid, int64_t deadline);
void fsrv__peer_close(struct fsrv__server *s, struct fsrv__peer **link);
void fsrv__peer_reply(int fd, int err, uint32_t stage, const char *text, const int *fds, size_t n_fds);
/* Closes those that are another server's now: all but this one, and those that wait for something of ours. */
void fsrv__peers_close_others(struct fsrv__server *s, const struct fsrv__peer *peer);
void fsrv__peers_on_time(struct fsrv__server *s, int64_t now);

/* ---- takeover.c: from another server, of which the sockets are ours then ---- */

/* Whether a server listens at the path. */
bool fsrv__takeover_has_other(const struct fsrv__server *s);
/* For the first zygote, which has loaded all: takes the socket and the doorbells over. If the other server has ended
 * meanwhile, it listens instead. 0 or -errno, and *failure. */
int fsrv__takeover_take(struct fsrv__server *s, struct fsrv__wire_failed *failure);
/* Gives the other server what it needs, on its connection; nothing changes here. 0 or -errno. */
int fsrv__takeover_give(const struct fsrv__server *s, int peer);
/* The other server has it: from now on that serves, and this one drains. 0 or -errno, and nothing has changed. */
int fsrv__takeover_end(struct fsrv__server *s, int peer);

/* ---- zygotes.c: what a zygote does at each event ---- */

struct fsrv__news {
        enum fsrv__zygote_event event;
        int err, value;               /* of the order */
        const char *text;             /* of the order */
        const struct fsrv__exit *how; /* DEATH */
};

/* Does what the table says. False: there is no such event in this state; an order that comes so is malformed. */
bool fsrv__zygote_on(struct fsrv__server *s, struct fsrv__zygote *z, struct fsrv__news news);

/* ---- orders.c, claims.c: all that zygote and standbys have sent ---- */

void fsrv__orders_receive(struct fsrv__server *s, struct fsrv__zygote *z);
void fsrv__claims_receive(struct fsrv__server *s, struct fsrv__zygote *z);

/* ---- deaths.c: all that the dead had sent has been received ---- */

/* Whether the pid is a worker's. Of any other process something that matters for its death may be unread: its claim, or
 * what its zygote says of it. */
bool fsrv__is_worker(const struct fsrv__server *s, pid_t pid);
/* Sees to a zygote or child that has died. Nothing happens if it lives. False: there is no such process of ours. */
bool fsrv__death_of(struct fsrv__server *s, pid_t pid);
/* Sees to what SIGCHLD came for. Clients that asked are told of stops and continuations. If orphans are ours,
 * everything dead is reaped, known or not. */
void fsrv__changes_take(struct fsrv__server *s);

/* ---- metrics.c, listing.c ---- */

/* The caller frees it. NULL: out of memory. */
char *fsrv__metrics_write(const struct fsrv__server *s, const struct fsrv__wire_stats *stats, size_t *ret_size);
/* A sealed memfd with the list of processes, or -errno. */
int fsrv__listing_make(const struct fsrv__server *s);

/* ---- peers.c: questions on admin connections ---- */

void fsrv__stats_fill(const struct fsrv__server *s, struct fsrv__wire_stats *ret_stats);
void fsrv__peer_on_message(struct fsrv__server *s, uint32_t fd);
/* Answers those that wait for a reload that is over. */
void fsrv__peers_on_reload(struct fsrv__server *s);

/* ---- scrapes.c: connections to the metrics socket ---- */

/* Has the socket listen, if there is one, and gives it its path. 0 or -errno. */
int fsrv__scrapes_listen(struct fsrv__server *s);
void fsrv__scrapes_unlisten(struct fsrv__server *s);
void fsrv__scrapes_on_connect(struct fsrv__server *s);
void fsrv__scrapes_on_message(struct fsrv__server *s, uint32_t fd);
void fsrv__scrapes_on_time(struct fsrv__server *s, int64_t now);

/* ---- arrivals.c: a named server's clients ---- */

void fsrv__listener_on_peers(struct fsrv__server *s);

/* ---- loop.c ---- */

/* Serves until it is over; the exit code. */
int fsrv__serve(struct fsrv__server *s);

#endif
