/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_PROTOCOL_H
#define FSRV_WIRE_PROTOCOL_H

/*
 * The bytes of every message. Which messages go where, and which fds come with them: messages.def; prose:
 * doc/protocol.md. Both ends are on one machine, so numbers are native-endian. A change of any of this is a new
 * FSRV_WIRE_VERSION.
 */

#include <stdint.h>
#include <sys/resource.h>

#define FSRV_WIRE_VERSION 0x4653000bu /* "FS", 11 */

#define FSRV_WIRE_MESSAGE_MAX      65536      /* bytes in one message; a larger request travels in a sealed memfd */
#define FSRV_WIRE_BODY_MAX         (1u << 30) /* bytes of a request without its payload */
#define FSRV_WIRE_PAYLOAD_MAX      (UINT64_C(1) << 46) /* no process has room for more */
#define FSRV_WIRE_FDS_MAX          253                 /* fds in one message: SCM_MAX_FD of the kernel */
#define FSRV_WIRE_ALL_FDS_MAX      65536               /* the caller's fds in one request */
#define FSRV_WIRE_ACTIONS_MAX      65536
#define FSRV_WIRE_TEXT_MAX         256
#define FSRV_WIRE_MORE_TIMEOUT_MS  10000 /* for the rest of a request's fds */
#define FSRV_WIRE_ADMIN_TIMEOUT_MS 10000 /* for any answer of a living server */
#define FSRV_WIRE_SEND_TIMEOUT_MS  10000 /* for room, or memory, to send a message */

enum fsrv__number {
#define TABLE(table, ...)
#define MESSAGE(table, name, number, ...) name = (number),
#define AGAIN(table, ...)
#include "wire/messages.def"
};

/* ---- doorbell ---- */

/* the caller's fds in the first message, whichever others come along */
#define FSRV_WIRE_FIRST_FDS_MAX (FSRV_WIRE_FDS_MAX - 9)

enum {
        FSRV_WIRE_BODY_IN_MEMFD = 1u << 0,
        FSRV_WIRE_KILL_ON_CLOSE = 1u << 1,
        FSRV_WIRE_NEW_SESSION = 1u << 2,
        FSRV_WIRE_SET_GROUP = 1u << 3,  /* setpgid(0, group), an error if it fails */
        FSRV_WIRE_JOIN_GROUP = 1u << 4, /* setpgid(0, group), else lead one */
        FSRV_WIRE_HAS_STATUS = 1u << 5,
        FSRV_WIRE_HAS_TRACKER = 1u << 6,
        FSRV_WIRE_TELL_STOPS = 1u << 7, /* STOPPED and CONTINUED are wanted */
        FSRV_WIRE_QUICK_EXIT =
                1u << 8, /* exit(3) in an entry point does not run the destructors of what was preloaded */
        FSRV_WIRE_WANTS_RESULT = 1u << 9,     /* of an entry point alone */
        FSRV_WIRE_PAYLOAD_IN_FILE = 1u << 10, /* the payload is no part of the body: a file comes along */
        FSRV_WIRE_HAS_ATTRIBUTES = 1u << 11,  /* struct fsrv__wire_attributes and its lists are in the body */
        FSRV_WIRE_START_STOPPED = 1u << 12,   /* the process stops itself before what it is to run, for a debugger */
        FSRV_WIRE_FLAGS = (1u << 13) - 1,
};

struct fsrv__wire_request {
        uint32_t version;
        uint32_t kind; /* FSRV_WIRE_ENTRY, …_PROGRAM, …_PROBE */
        uint32_t flags;
        uint32_t n_fds;      /* the caller's fds in all */
        uint32_t n_fds_here; /* of which come with this message; the rest follows on the answer socket */
        uint32_t n_actions;
        uint32_t n_argv;
        uint32_t n_env;
        uint32_t umask;
        int32_t group;
        uint32_t setup_limit_ms; /* how long the client waits at the most; 0: for ever */
        uint32_t made_us;        /* when it was made, by CLOCK_MONOTONIC; the upper bits are left out */
        uint64_t body_size;      /* what follows this head, or lies in the memfd: actions, strings, the payload */
        uint64_t payload_size;   /* bytes for the entry point alone: at the end of the body, or of a file */
        uint64_t signal_mask;    /* bit n-1: signal n */
        uint64_t signals_ignored;
        uint64_t time_limit_ms; /* 0: none */
        uint64_t grace_ms;      /* between SIGTERM at the limit and SIGKILL; 0: SIGKILL at once */
};

/* The body begins with n_actions of these. Then come, if the flags have HAS_ATTRIBUTES, the attributes
 * (attributes_codec.h). Then come NUL-terminated strings: name, search path, which may be empty,
 * directory, which is empty for the client's own, argv, environment, and one path for each OPEN. The payload is
 * last. */
enum {
        FSRV_WIRE_INSTALL = 1, /* the caller's fd number `source` of this message -> target */
        FSRV_WIRE_DUP = 2,     /* the child's fd `source` -> target */
        FSRV_WIRE_OPEN = 3,    /* open(path, source = flags, mode) -> target */
        FSRV_WIRE_CLOSE = 4,   /* target */
        FSRV_WIRE_HAND = 5,    /* the caller's fd number `source` of this message: for fsrv_worker_get_fds() */
        FSRV_WIRE_DATA = 6,    /* the same, for fsrv_worker_get_data() */
};

/* mode of INSTALL: leave the target alone where a preloaded module uses its number */
enum { FSRV_WIRE_IF_FREE = 1 };

struct fsrv__wire_action {
        uint32_t type;
        int32_t target;
        uint32_t source;
        uint32_t mode;
};

struct fsrv__wire_more {
        uint32_t type;  /* MORE_FDS, OTHER_ANSWER */
        uint32_t n_fds; /* MORE_FDS */
};

/* ---- result ---- */

#define FSRV_WIRE_RESULT_MAX 32768 /* bytes of a result that travels without a memfd */

struct fsrv__wire_result {
        uint32_t type; /* RESULT, LARGE_RESULT */
        uint32_t reserved;
        uint64_t size;
};

struct fsrv__wire_failure {
        uint32_t type; /* FAILURE */
        int32_t err;   /* not 0: the result could not be sent */
        int32_t code;
        char text[FSRV_WIRE_TEXT_MAX];
};

union fsrv__wire_outcome {
        uint32_t type;
        struct fsrv__wire_result result;
        struct fsrv__wire_failure failure;
};

/* ---- answer ---- */

enum {
        FSRV_WIRE_HAS_PIDFD = 1u << 0,
        FSRV_WIRE_HAS_EXEC_PIPE = 1u << 1,
};

struct fsrv__wire_started {
        uint32_t type;
        int32_t pid;
        uint32_t fds; /* FSRV_WIRE_HAS_… */
};

struct fsrv__wire_loads {
        uint32_t type;
        uint32_t fds; /* FSRV_WIRE_HAS_PIDFD */
};

struct fsrv__wire_word {
        uint32_t type; /* READY */
};

struct fsrv__wire_failed {
        uint32_t type;
        int32_t pid; /* the worker's; 0 from the server */
        uint32_t stage;
        int32_t err;
        char text[FSRV_WIRE_TEXT_MAX];
};

struct fsrv__wire_exited {
        uint32_t type;
        int32_t pid;
        int32_t code; /* CLD_EXITED, CLD_KILLED, CLD_DUMPED */
        int32_t status;
        uint32_t timed_out;
        uint32_t refused;     /* system calls that its sandbox has refused */
        int32_t refused_call; /* the number of the first of them */
        uint32_t was_refused; /* it was killed for that */
        struct rusage rusage;
};

struct fsrv__wire_changed {
        uint32_t type; /* STOPPED, CONTINUED */
        int32_t pid;
        int32_t signal; /* that stopped it; SIGCONT */
};

union fsrv__wire_answer {
        uint32_t type;
        struct fsrv__wire_started started;
        struct fsrv__wire_loads loads;
        struct fsrv__wire_word word;
        struct fsrv__wire_failed failed;
        struct fsrv__wire_exited exited;
        struct fsrv__wire_changed changed;
};

/* ---- claims ---- */

struct fsrv__wire_claim {
        uint32_t type;
        uint32_t flags;   /* of the request */
        uint32_t stage;   /* SETUP_FAILED */
        int32_t borrower; /* RETIRED: its pid, if it has not claimed; a child of the server's */
        uint64_t time_limit_ms;
        uint64_t grace_ms;
        int32_t client;    /* the pid that the kernel has stamped on the request, as the zygote's namespace has it */
        uint32_t uid;      /* and the uid */
        uint32_t queue_us; /* from the request's making to its receipt */
        uint32_t reserved;
};

/* ---- orders ---- */

struct fsrv__wire_order {
        uint32_t type;
        int32_t err;
        int32_t value;
        char text[FSRV_WIRE_TEXT_MAX]; /* LOADING, LOAD_FAILED, LEFT_OUT; other messages end before it */
};

/* What a module did to the zygote. NUL-terminated strings follow: why it could not be loaded, which is empty if it was;
 * the names of n_threads threads; and for each of n_fds fds its number, its kind and what it is. */
struct fsrv__wire_loaded {
        uint32_t type;
        int32_t err;
        uint64_t load_us;
        uint64_t private_dirty_kib; /* if config.measure */
        uint64_t fork_pages;        /* if config.measure */
        uint32_t n_threads;
        uint32_t n_fds;
};

/* What was done to the zygote's memory. */
struct fsrv__wire_memory {
        uint32_t type;
        uint32_t reserved;
        uint64_t frozen, collapsed, left; /* bytes */
        char why[FSRV_WIRE_TEXT_MAX];     /* why it is less than the mode says; or "" */
};

/* What was done to a mapping of the zygote's. */
struct fsrv__wire_mapping {
        uint32_t type;
        uint32_t reserved;
        uint64_t start, end;
        uint64_t frozen, collapsed, left; /* bytes; a fork copies what is left */
        char what[104];                   /* as /proc/PID/maps has it, or a path's end; "": anonymous */
        char why[FSRV_WIRE_TEXT_MAX];     /* why not all of it is frozen; or "" */
};

/* ---- admin ---- */

#define FSRV_WIRE_UIDS_MAX    64
#define FSRV_WIRE_PRELOAD_MAX 61440 /* bytes of all module names with their NULs */

/* LD_BIND_NOW's value (ld.so(8)) where the server has set it, not the caller. */
#define FSRV_WIRE_BIND_NOW "forkserver"

enum {
        FSRV_WIRE_MEASURE_MEMORY = 1,   /* how much memory a module takes; the more it is, the longer this lasts */
        FSRV_WIRE_MEASURE_MAPPINGS = 2, /* and what becomes of each mapping */
};

/* To a named server. The first three bring an fd. */
enum {
        FSRV_WIRE_HAS_LISTENER =
                1u << 0, /* its socket, which somebody else has made and removes (systemd's socket units) */
        FSRV_WIRE_HAS_READY = 1u << 1,   /* gets a newline, and is closed, when the modules are loaded */
        FSRV_WIRE_HAS_METRICS = 1u << 2, /* a listening stream socket, at which the counters can be read by HTTP */
        FSRV_WIRE_FAIL_FAST = 1u << 3,   /* end if the first start of the zygote fails */
        FSRV_WIRE_AUTO_RELOAD = 1u << 4, /* reload when a loaded file has been replaced */
        FSRV_WIRE_JSON_LOG = 1u << 5,    /* each line of the log is an object */
        FSRV_WIRE_TAKEOVER = 1u << 6,    /* take the socket over from the server that has it */
        FSRV_WIRE_OPTIONS = (1u << 7) - 1,
};

/* After so many kills in a row the zygote does less for its memory, and after one more nothing. */
enum { FSRV_WIRE_KILLED = 2 };

struct fsrv__wire_config {
        uint32_t version;
        uint32_t type;
        uint32_t policy;        /* for modules that cannot be loaded */
        uint32_t thread_policy; /* for threads at the first fork */
        uint32_t memory;        /* enum fsrv_memory */
        uint32_t measure;       /* to the zygote: FSRV_WIRE_MEASURE_… */
        /* the number of arguments, if the zygote is another program than ours, which comes along as an fd; else 0 */
        uint32_t n_argv;
        uint32_t has_data; /* 1: then a memfd for the zygote's fd FSRV_ZYGOTE_DATA_FD comes along */
        uint32_t standbys;
        uint32_t preload_timeout_ms;
        uint32_t mode;  /* of the listener's socket */
        uint32_t named; /* then one string is the path, before argv and the modules */
        uint32_t n_modules;
        uint32_t n_uids; /* allowed besides the server's own and root */
        int32_t server;  /* to the zygote: the server's pid */
        uint32_t killed; /* to the zygote: so many zygotes in a row were killed while they froze their memory */
        uint32_t loans;  /* to the zygote: a standby lends its memory to so many programs' processes */
        /* 1: modules have a standard output until they have been loaded once. It comes along; for a zygote it is in
         * place */
        uint32_t has_output;
        uint32_t as_sender;    /* 1: a worker has the ids of the user that asked; the server is root's */
        uint32_t entries_only; /* 1: preloaded entry points alone are run */
        uint32_t has_sandbox;  /* 1: the zygote locks itself in; a memfd with its sandbox comes along */
        uint32_t options;      /* FSRV_WIRE_HAS_LISTENER and the others there; 0 to a zygote */
        uint64_t nofile;       /* to the zygote: the soft RLIMIT_NOFILE that workers get back */
        uint32_t uids[FSRV_WIRE_UIDS_MAX];
};

struct fsrv__wire_admin {
        uint32_t version;
        uint32_t type;
};

struct fsrv__wire_reply {
        uint32_t version;
        int32_t err; /* 0, or a positive errno value; then stage and text */
        uint32_t stage;
        int32_t server_pid;
        char text[FSRV_WIRE_TEXT_MAX];
};

/* The fds of TAKEOVER: listener, both ends of the doorbell, and for each zygote in a sandbox the receiving end of its
 * doorbell and the memfd of its sandbox. Those of SUCCEED: the connections of clients that have not asked yet. */
struct fsrv__wire_takeover {
        struct fsrv__wire_reply reply;
        uint32_t n_fds;    /* of those in sandboxes, two for each; or connections */
        uint32_t is_given; /* 1: somebody else removes the socket */
};

/* The memfd of LIST has one of these for each process, and nothing else. */
struct fsrv__wire_listed {
        int32_t pid;
        uint32_t role;      /* enum fsrv_process_role */
        int32_t client;     /* a worker's: its request's sender, as in struct fsrv__wire_claim; 0 */
        uint32_t uid;       /* the client's */
        uint64_t age_ms;    /* since the server knows of it; a worker: since its claim */
        uint64_t left_ms;   /* of its time limit; UINT64_MAX: it has none */
        uint32_t zygote;    /* the number of the zygote that has forked it; a zygote's own */
        uint32_t is_locked; /* it is in a sandbox */
};

struct fsrv__wire_stats {
        struct fsrv__wire_reply reply;
        int32_t zygote_pid;
        uint32_t workers;
        uint32_t standbys;
        uint32_t trying; /* 1: there is an heir */
        uint64_t uptime_ms;
        uint64_t spawns;
        uint64_t claims;
        uint64_t exits;
        uint64_t zygote_starts;
        uint64_t zygote_restarts;
        struct fsrv__wire_memory memory;
        uint64_t malformed; /* messages to the server of a wrong type, size or state */
        uint64_t failures[32];
        uint64_t signals[65];              /* workers that signal n ended */
        char left_out[FSRV_WIRE_TEXT_MAX]; /* as of the last zygote; "" */
        uint32_t is_ready;
        uint32_t reserved;
        uint64_t reloads;
        uint64_t failed_reloads;
        char failure[FSRV_WIRE_TEXT_MAX];  /* why requests are refused now; "" */
        char replaced[FSRV_WIRE_TEXT_MAX]; /* a loaded file that has been replaced since; "" */
};

#endif
