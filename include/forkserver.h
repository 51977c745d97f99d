/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_H
#define FORKSERVER_H

/*
 * libforkserver: load libraries and data once, and run every job in its own fresh process.
 *
 * Make a *server*: a handle on a fork server, which is private to this program or listens at a socket. Make a
 * *request*: what to run and how. Call `fsrv_spawn()`: it yields a *process* with a pid, a pidfd and an exit status.
 *
 * Conventions, for every call unless its comment says otherwise:
 *  - A call returns 0 or a positive result on success, and a negative errno value on failure. `errno` itself means
 *    nothing.
 *  - Outputs come last, are named `ret_…`, and are left alone on failure.
 *  - `struct fsrv_error *error` may be NULL. On failure it has the stage, the errno and a sentence for people; on
 *    success it is left alone. It is the caller's own memory; use one per thread.
 *  - Times are milliseconds of CLOCK_MONOTONIC. A time-out of -1 means none, and 0 means "look, don't wait".
 *  - Every file descriptor that the library makes is close-on-exec. One that a call returns belongs to the caller,
 *    unless the comment says *borrowed*.
 *  - Threads: a server may be used from any number of threads at once, and in a child after fork(). A request must not
 *    be changed while another thread uses it; several threads may spawn from one request. Several threads may wait for
 *    a process and kill it, each with a reference of its own.
 *    A process handle is for the process that made it. A child of fork(3) has a copy; it may unref the copy, which ends
 *    nothing. It must not wait with it: that would take the status from the other.
 *  - The library starts no thread, installs no signal handler, prints nothing, never exits, and waits for no child that
 *    isn't its own.
 *  - No lock is held while a call waits. So a call waits only for its own sake, and fork(3) in another thread waits for
 *    none.
 *  - Options structs begin with `size`; set it to sizeof the struct. A field that is zero has its default.
 *
 * These calls may wait; all others don't. The table says for what, and how long.
 *
 *  fsrv_spawn(), fsrv_spawn_pipes(),     for the server, modules, room in the queue, a process: the request's spawn
 *  fsrv_connect_to_new_process()         time-out (120 s); for execve(2): 10 s at least
 *  fsrv_spawn_many()                     the same for each process
 *  fsrv_run()                            the same, then for the end of the process: for ever, or its time limit
 *  fsrv_spawn_start(), …_finish(),       for the start of the server's program, once, as long as posix_spawn(3) takes;
 *  …_cancel()                            for nothing else
 *  fsrv_server_wait_ready()              its time-out
 *  fsrv_server_ensure_running(),         for the server's program, or an answer of the one at the path: 10 s; not for
 *  fsrv_server_connect()                 modules
 *  fsrv_server_get_stats()               for an answer: 10 s
 *  fsrv_server_stop()                    for an answer: 10 s; then for the workers: its time-out; with IN_TREE 1 s more
 *  fsrv_server_end()                     with IN_TREE: its time-out
 *  fsrv_process_wait(),                  their time-outs
 *  fsrv_communicate()
 *  fsrv_tracker_register(),              for room in a tracker's pipe: 10 s
 *  …_unregister(), …_probe()
 *  fsrv_check_preload()                  for each module: the options' preload time-out
 *  fsrv_sandbox_learn()                  for the end of its child
 *  fsrv_read_signed(), …_write_signed()  as read(2) and write(2)
 *
 * Two things take time in proportion to their size: a payload, which is copied once unless it is a file's, and a
 * program's large memory with IN_TREE.
 */

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/select.h> /* sigset_t, which strict C11 has not in signal.h */
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FSRV_VERSION "0.1.0"

#if defined(__GNUC__)
#define FSRV_PUBLIC __attribute__((visibility("default")))
#else
#define FSRV_PUBLIC
#endif

/* ---- Errors ------------------------------------------------------------------------------------------------------ */

/* Where a spawn (or another call) failed. The numbers are part of the protocol: they are never reused. */
enum fsrv_stage {
        FSRV_STAGE_NONE = 0,
        FSRV_STAGE_ARGUMENT = 1,    /* the caller's own arguments; nothing was sent */
        FSRV_STAGE_START = 2,       /* starting the server program */
        FSRV_STAGE_CONNECT = 3,     /* reaching a server at a socket path */
        FSRV_STAGE_CREDENTIALS = 4, /* the other side runs as a user that it must not be */
        FSRV_STAGE_VERSION = 5,     /* the other side speaks another version of the protocol */
        FSRV_STAGE_QUEUE = 6,       /* there was no room on the doorbell, or no standby took the request in time */
        FSRV_STAGE_PRELOAD = 7,     /* a module could not be preloaded */
        FSRV_STAGE_FORK = 8,        /* the zygote could not fork, or what it forks ends by itself */
        FSRV_STAGE_LIMIT = 9,       /* the server has as many workers as it can take */
        FSRV_STAGE_REQUEST = 10,    /* the request was malformed, or its fds did not arrive */
        FSRV_STAGE_SETUP = 11,      /* the new process died before it ran anything of the caller's, three times */
        FSRV_STAGE_SIGNALS = 12,    /* signal mask or dispositions */
        FSRV_STAGE_GROUP = 13,      /* setpgid or setsid */
        FSRV_STAGE_DIRECTORY = 14,  /* chdir */
        FSRV_STAGE_FDS = 15,        /* an fd action: dup2 or close */
        FSRV_STAGE_OPEN = 16,       /* an fd action: open */
        FSRV_STAGE_ENTRY = 17,      /* the module or the function of an entry point */
        FSRV_STAGE_EXEC = 18,       /* execve */
        FSRV_STAGE_STATUS = 19,     /* waiting: the status was lost together with the server */
        FSRV_STAGE_ADMIN = 20,      /* asking a server about itself */
        FSRV_STAGE_TRACKER = 21,    /* the resource tracker */
        FSRV_STAGE_RESULT = 22,     /* a call: the process ran, and gave no result */
        FSRV_STAGE_SANDBOX = 23,    /* a sandbox cannot be built here, or a process cannot lock itself in */
        FSRV_STAGE_ATTRIBUTES = 24, /* an attribute of the new process: a limit, its user, its priority … */
        FSRV_STAGE_COUNT = 25
};

#define FSRV_ERROR_TEXT_SIZE 256

struct fsrv_error {
        int err;        /* a positive errno value */
        uint32_t stage; /* enum fsrv_stage */
        pid_t pid;      /* the process that failed, where there was one, else 0 */
        uint32_t reserved[5];
        char text[FSRV_ERROR_TEXT_SIZE]; /* one line without a newline, NUL-terminated: names the thing and the cause */
};

/* Returns the name of a stage ("exec", "preload", …), or "unknown" for a number that isn't one. Static. */
FSRV_PUBLIC const char *fsrv_stage_name(uint32_t stage);

/* Returns the version of the library that is linked at run time, written like FSRV_VERSION. Static. */
FSRV_PUBLIC const char *fsrv_version(void);

/* ---- Servers ----------------------------------------------------------------------------------------------------- */

struct fsrv_server;
struct fsrv_sandbox;

/* What happens when a module of the preload list cannot be loaded. A module that *crashes* or hangs while it loads
 * takes the zygote with it and fails every spawn under any policy. */
enum fsrv_preload_policy {
        FSRV_PRELOAD_WARN = 0,  /* the zygote says so on the standard error that the server was started with; default */
        FSRV_PRELOAD_FAIL = 1,  /* every spawn fails with stage FSRV_STAGE_PRELOAD */
        FSRV_PRELOAD_IGNORE = 2 /* nothing is said */
};

/* What is done to the zygote's memory after preloading, so that a fork costs nearly the same however much is loaded. */
enum fsrv_memory {
        /* it is frozen where that is safe, else collapsed; nothing is done below 1 MiB; default */
        FSRV_MEMORY_AUTO = 0,
        FSRV_MEMORY_FREEZE = 1, /* the same, and the zygote says on standard error why it did less */
        /* it is made into huge pages, of which a fork copies one entry for 2 MiB; if it can't be done, the zygote says
         * why */
        FSRV_MEMORY_COLLAPSE = 2,
        FSRV_MEMORY_OFF = 3 /* nothing */
};

/* In a preload list: the calling program itself. Its zygote is this program, run again up to fsrv_zygote_enter(). */
#define FSRV_PRELOAD_MAIN "__main__"

/* A resource tracker is started before the first spawn, and each spawn carries its fd along. */
#define FSRV_SERVER_TRACKER 1u
/* For a private server: modules may write to standard output while they are loaded. With this flag that goes to the
 * standard output of the process that starts the server, until all modules have been loaded once. Without it, later,
 * and in a named server, it goes to standard error. So a program that reads the output does not wait for the server's
 * end. */
#define FSRV_SERVER_PRELOAD_OUTPUT 2u
/* For a private server: tools and debuggers find the server and all that it starts below this process in the tree of
 * processes. A process in between does nothing but wait for the server's end.
 *
 * That process is a child without an exit signal: only a wait with __WCLONE or __WALL sees it, and no SIGCHLD handler
 * does. The library reaps it in fsrv_server_stop(), in fsrv_server_end(), and when it starts the next server.
 *
 * It begins as a copy of this process without its large memory. That memory is marked MADV_DONTFORK for that moment,
 * and fork(3) in another thread waits for it. So the start takes what fork(2) takes for the rest, and some 15 ms a GiB
 * for finding the large memory. Where a copy cannot be made (-EAGAIN, -ENOMEM) the server is nobody's child, as without
 * this flag. */
#define FSRV_SERVER_IN_TREE 4u

struct fsrv_server_options {
        size_t size;
        /* A NULL-terminated list of modules, loaded in this order. A module is a shared object (a path with a slash, or
         * a name that the dynamic loader finds) or FSRV_PRELOAD_MAIN. NULL: there are none. Copied. */
        const char *const *preload;
        uint32_t preload_policy; /* enum fsrv_preload_policy */
        uint32_t standbys;       /* processes kept ready, 1…64; 0 for the default, 4 (doc/performance.md says why) */
        /* The limit for loading all modules, and then for their fork handlers, in the zygote and in each new process. A
         * new process may take up to twice as long before it is killed. 0: the default of 60,000. */
        int preload_timeout_ms;
        uint32_t flags; /* FSRV_SERVER_… */
        /* enum fsrv_preload_policy: what happens when the zygote has other threads at the time of its first fork. (A
         * throw-away fork comes before, since some libraries stop their threads for one.) A child has none of these
         * threads, and may find a lock that one of them held. By default the zygote says so on standard error, with the
         * module that started them. */
        uint32_t thread_policy;
        uint32_t memory; /* enum fsrv_memory */
        /* Where forkserver-server and forkserver-zygote lie. NULL: $FORKSERVER_HELPERS, if it is set and the program
         * isn't setuid; else beside the library, relative to it as installed; else where they were configured to be. */
        const char *helper_directory;
        /* Another program as the zygote: its arguments, of which the first is its path. The program has to call
         * fsrv_zygote_serve() (forkserver-host.h). NULL: forkserver-zygote. Copied. */
        const char *const *zygote_argv;
        const void *zygote_data; /* bytes of any kind for that program, at its fd FSRV_ZYGOTE_DATA_FD. Copied. */
        size_t zygote_data_size;
        /* For all requests on this handle that have none of their own; sealed. The handle keeps a reference. NULL:
         * none. fsrv_serve(): for all of a named server's processes; their requests can have no other one. */
        struct fsrv_sandbox *sandbox;
        uint64_t reserved[3];
};

/*
 * Makes a handle on a private server. The first call that needs the server starts it, and starts it again after it
 * died. The server has no name, so no other program can find it. It ends when the handle, all its copies in forked
 * children, and all workers that could spawn from it are gone.
 *
 * The server is no child of the caller's: wait(-1) and SIGCHLD handlers do not see it. A caller that is the reaper of
 * orphans, as pid 1 of a container is, inherits it like every orphan when it ends; FSRV_SERVER_IN_TREE prevents that.
 *
 * options: NULL for the defaults.
 * Errors: -EINVAL (an option out of range), -E2BIG (a preload list over 60 KiB), -ENOMEM, -EMFILE, -ENFILE.
 */
FSRV_PUBLIC int fsrv_server_new(const struct fsrv_server_options *options, struct fsrv_server **ret_server,
                                struct fsrv_error *error);

#define FSRV_UID_OWN ((uid_t)-1)

/*
 * Makes a handle on the server that listens at `path`. The server must run as `server_uid`; FSRV_UID_OWN means the
 * caller's own effective uid or root. The call connects at once. The handle connects again when that server was
 * replaced by a new one at the same path.
 *
 * Errors: -ENAMETOOLONG (over 107 bytes, unix(7)), -ENOENT, -ECONNREFUSED (no process listens any more), -EACCES (the
 * socket's mode, or the server refuses the caller's uid), -EPERM (the server runs as another uid), -EPROTO (something
 * else listens there), -EPROTONOSUPPORT (a server of another version), -ETIMEDOUT (no answer within 10 s).
 */
FSRV_PUBLIC int fsrv_server_connect(const char *path, uid_t server_uid, struct fsrv_server **ret_server,
                                    struct fsrv_error *error);

/*
 * In a worker: makes a handle on the server that it came from, so that children use their parent's server. An executed
 * program cannot call it: it gets nothing of the server's.
 *
 * Errors: -ENOENT when this process is no worker.
 */
FSRV_PUBLIC int fsrv_server_inherit(struct fsrv_server **ret_server, struct fsrv_error *error);

/*
 * Makes sure that the server runs: starts a private one, connects to a named one. fsrv_spawn() does this by itself;
 * call it early to have the preloading over with. It does not wait for the preloading; fsrv_server_wait_ready() does.
 *
 * Errors: as fsrv_server_connect(); stage START: -ENOENT (no server program), any errno of clone(2) or execve(2).
 */
FSRV_PUBLIC int fsrv_server_ensure_running(struct fsrv_server *server, struct fsrv_error *error);

/*
 * Waits until a process is ready to take a request: the server runs, all modules are loaded, and a spawn would be
 * served at once. Call it when your program has something else to do while modules load, or wants to hear early that
 * they cannot be loaded. Works with any handle.
 *
 * Errors: as fsrv_spawn(); -ETIMEDOUT (not ready in time), stage PRELOAD (a module of the preload list fails), LIMIT
 * (the server has as many workers as it can take).
 */
FSRV_PUBLIC int fsrv_server_wait_ready(struct fsrv_server *server, int timeout_ms, struct fsrv_error *error);

/*
 * Changes a private server's preload list. The next spawn uses a new server with a new zygote. Workers of the old
 * server finish undisturbed, and it ends after the last of them.
 *
 * Errors: -EINVAL (a NULL or empty name), -E2BIG, -ENOMEM, -EPERM (not a private server's own handle).
 */
FSRV_PUBLIC int fsrv_server_set_preload(struct fsrv_server *server, const char *const *modules, uint32_t policy,
                                        struct fsrv_error *error);

struct fsrv_stats {
        size_t size;
        pid_t server_pid;
        pid_t zygote_pid; /* 0 while there is none */
        uint64_t uptime_ms;
        uint64_t spawns; /* requests that the server answered for: claimed by a standby, or refused */
        uint64_t claims; /* requests that a standby took */
        uint64_t exits;  /* workers that ended */
        uint64_t zygote_starts;
        uint64_t zygote_restarts;  /* starts after one died or failed to start; not those of a reload */
        uint64_t malformed;        /* messages of an unknown type or a wrong size, which the server left unread */
        uint32_t workers;          /* alive now */
        uint32_t standbys;         /* idle now */
        uint32_t trying;           /* whether a module is being tried now (is_tried in forkserver-host.h) */
        uint64_t memory_frozen;    /* bytes of the zygote's private memory that are frozen: a fork copies nothing */
        uint64_t memory_collapsed; /* bytes of it in huge pages */
        uint64_t memory_left;      /* bytes that stayed as they were */
        /* Why it isn't frozen, a sentence without a full stop; "" if it is, or if that was not asked for. */
        char memory_why[256];
        /* A sentence: the module of the preload list that was tried and that each process loads by itself, and why. "":
         * there is none. */
        char left_out[256];
        /* By enum fsrv_stage: failures that the server and its workers reported. Failures to load a module that isn't
         * preloaded are not counted: the client alone hears of them. */
        uint64_t failures[32];
        uint64_t signals[65]; /* how many workers signal n has ended */
        uint32_t is_ready;    /* the modules are loaded, and requests are served */
        uint64_t reloads;     /* that have succeeded */
        uint64_t failed_reloads;
        /* Why requests are refused now, a sentence; "": they aren't. It stays when the modules could not be loaded,
         * until a request makes the server try again. */
        char failure[256];
        /* A named server's: the path of a file which the zygote has loaded, and which has been replaced on disk since;
         * "": there is none. */
        char replaced[256];
};

/* Asks what the server counted since it started. Set ret_stats->size. A private server that doesn't run yields zeros.
 * Errors: -EINVAL (size), -EOPNOTSUPP (a handle from fsrv_server_inherit()), -ETIMEDOUT (10 s), as connect. */
FSRV_PUBLIC int fsrv_server_get_stats(struct fsrv_server *server, struct fsrv_stats *ret_stats,
                                      struct fsrv_error *error);

enum fsrv_process_role {
        FSRV_PROCESS_ZYGOTE = 1,
        FSRV_PROCESS_STANDBY = 2,
        FSRV_PROCESS_WORKER = 3,
        FSRV_PROCESS_HEIR = 4,  /* tries a module (is_tried in forkserver-host.h) */
        FSRV_PROCESS_OTHER = 5, /* is about to begin, or to end */
};

struct fsrv_listed {
        pid_t pid; /* as the server sees it: in another pid namespace it has another number */
        uint32_t role;
        pid_t client_pid; /* that asked for a worker, as the server sees it; 0 if that is not to be seen there */
        uid_t client_uid;
        uint64_t age_ms;  /* a worker: since its request was taken */
        uint64_t left_ms; /* of its time limit; UINT64_MAX: it has none */
        uint32_t zygote; /* the number of the zygote that it comes from, or is: a new one for each reload and sandbox */
        uint32_t is_locked; /* it is in a sandbox */
};

/* Lists the processes of a server, at one moment. free() the list. A private server that doesn't run has none. Errors:
 * -ENOMEM, and as fsrv_server_get_stats(). */
FSRV_PUBLIC int fsrv_server_list(struct fsrv_server *server, struct fsrv_listed **ret_list, size_t *ret_n,
                                 struct fsrv_error *error);

/* Yields the counters as OpenMetrics text, NUL-terminated, which Prometheus and others read. free() it. A private
 * server that doesn't run yields "". Errors: as fsrv_server_list(). */
FSRV_PUBLIC int fsrv_server_get_metrics(struct fsrv_server *server, char **ret_text, struct fsrv_error *error);

/*
 * Stops the server: it takes no new request, and ends when its last worker has. The call waits for that. A later spawn
 * on a private handle starts a new server. A server that isn't running is stopped already.
 *
 * Errors: -ETIMEDOUT (it still has workers; it goes on draining), -EACCES (a named server of another uid: only its own
 * uid and root may stop it), -EOPNOTSUPP (a handle from fsrv_server_inherit()).
 */
FSRV_PUBLIC int fsrv_server_stop(struct fsrv_server *server, int timeout_ms, struct fsrv_error *error);

/*
 * Has a new zygote load the modules anew, beside the one that serves. When it has loaded them it takes over; the call
 * waits for that, and for the last idle process of the old one. No request fails or waits meanwhile, except that a
 * sandbox is set up anew, with which its requests wait. If the modules can't be loaded, the old zygote stays. Workers
 * go on in both cases. For a while both zygotes are in memory. A reload that is asked for while one is under way comes
 * after it. A private server that doesn't run has nothing to reload.
 *
 * Errors: stage PRELOAD and others as fsrv_server_wait_ready(): why the old zygote stays; -ETIMEDOUT (the reload goes
 * on), -EACCES (a named server of another uid), -ECONNREFUSED (it is ending), -EOPNOTSUPP (a handle from
 * fsrv_server_inherit()).
 */
FSRV_PUBLIC int fsrv_server_reload(struct fsrv_server *server, int timeout_ms, struct fsrv_error *error);

/*
 * Lets the caller interrupt calls that wait on this handle: for the server's start, for modules, for an answer. Such a
 * call asks check(data) whether it is to go on. It asks at once when a signal handler of its thread has run. It also
 * asks at least every 50 ms, since a signal may come before the wait, or to another thread. Non-zero ends the call:
 * -EINTR.
 *
 * The request is withdrawn then, and nothing of it ever runs. If it had started in that very moment, the call returns 0
 * as ever, with the process. A program that has not been executed yet is killed.
 *
 * check() is called in the thread that waits; it must not use this handle. fsrv_process_wait() doesn't ask, nor does
 * fsrv_run() once the server runs. check NULL: nothing is asked. Call this before other threads use the handle.
 */
FSRV_PUBLIC void fsrv_server_set_interrupt(struct fsrv_server *server, int (*check)(void *data), void *data);

/*
 * For the end of a program: gives up what the handle has of the server, as freeing it does. With FSRV_SERVER_IN_TREE it
 * also waits until the server has ended, unless a living worker or a forked copy of this program still holds it. So no
 * zombie is left where nothing reaps orphans. A later spawn on a private handle starts a new server.
 *
 * Errors: -ETIMEDOUT.
 */
FSRV_PUBLIC int fsrv_server_end(struct fsrv_server *server, int timeout_ms);

/* Gives the handle up. Takes NULL, returns NULL. Processes that were spawned stay valid and keep their status. */
FSRV_PUBLIC struct fsrv_server *fsrv_server_free(struct fsrv_server *server);

/*
 * Yields the process's own handle, for pieces of code that share one without knowing of each other. The first call
 * makes it: private, with a resource tracker. In a worker it is the one that fsrv_server_inherit() gives. It is the
 * only state that the library keeps. Borrowed: never free it. Threads: any, also right after fork().
 *
 * Errors: -ENOMEM, -EMFILE, -ENFILE.
 */
FSRV_PUBLIC int fsrv_server_default(struct fsrv_server **ret_server, struct fsrv_error *error);

/* A root server runs each request of another user as that user: with the uid and gid that the kernel has stamped on it,
 * and without supplementary groups. What the user asks for (fsrv_request_set_attributes()) is done with the user's own
 * rights. With this flag everything runs as root instead, and each user that may spawn can do all that root can. */
#define FSRV_LISTEN_AS_SERVER 1u
/* Runs functions of preloaded modules, and entry points of the program's own table, alone: no program, no module that
 * isn't preloaded, no function of a library that a module depends on. Nor does it open files for its clients
 * (fsrv_request_add_open()); they can pass fds. Such a request fails with -EPERM, stage CREDENTIALS. Each function that
 * a preloaded module exports can be called, with arguments and an environment of the client's choice. Not for another
 * program as the zygote (zygote_argv): -EINVAL. */
#define FSRV_LISTEN_ENTRIES_ONLY 2u
/* The socket is `listener`: a listening SOCK_SEQPACKET Unix socket, as systemd's socket units hand it over. `path` says
 * where it is, for messages. The server doesn't remove it. */
#define FSRV_LISTEN_ON_FD 4u
/* When all modules are loaded the server writes a newline to `ready_fd` and closes it, as supervisors of the s6 kind
 * expect. systemd is told by itself ($NOTIFY_SOCKET). */
#define FSRV_LISTEN_READY_FD 8u
/* If the first try to load the modules fails, the server ends with 125. */
#define FSRV_LISTEN_FAIL_FAST 16u
/* When a file that the zygote has loaded is replaced on disk, the server reloads. Without this it says so in its log
 * and in struct fsrv_stats alone. */
#define FSRV_LISTEN_AUTO_RELOAD 32u
/* Each line of the log is a JSON object: time, level, pid, message. */
#define FSRV_LISTEN_JSON_LOG 64u
/* A server that listens at `path` already hands its socket and its doorbell over once the new one has loaded its
 * modules, and ends when its last process has. No client notices. The two must speak the same version of the protocol.
 */
#define FSRV_LISTEN_TAKEOVER 128u
/* `metrics` is a bound stream socket. The server has it listen when it serves, and answers HTTP requests there with its
 * counters, as OpenMetrics text. A path that it is bound to ends with '.' and the caller's pid; the server takes that
 * off, and removes the path at its end. All that can connect there can read the counters. */
#define FSRV_LISTEN_METRICS 256u

struct fsrv_listen_options {
        size_t size;
        const char *path; /* where to listen: at most 107 bytes, in a directory that only its owner can write to */
        mode_t mode;      /* the socket's; 0 for 0600 */
        /* Users that may spawn, besides the server's own uid and root. What they spawn from a root server runs as
         * themselves; from another server, as the server's user. */
        const uid_t *allow_uids;
        size_t n_allow_uids;             /* at most 64 */
        uint32_t flags;                  /* FSRV_LISTEN_… */
        int listener, ready_fd, metrics; /* each with its flag; they stay the caller's if the call fails */
        uint64_t reserved[4];
};

/*
 * Replaces the calling program by a named server in the foreground. It does so as execve(2) does, with the same pid, so
 * that a supervisor sees it. The server logs on its standard error. SIGTERM and SIGINT drain it: it takes no new
 * spawns, and its workers finish. A second signal kills the workers. SIGHUP reloads (fsrv_server_reload()). It removes
 * its socket at the end. The call returns only on failure.
 */
FSRV_PUBLIC int fsrv_serve(const struct fsrv_listen_options *listen, const struct fsrv_server_options *options,
                           struct fsrv_error *error);

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

struct fsrv_request;

/*
 * A request says what to run. What it doesn't set is, as with posix_spawn(3), the caller's at the moment of the
 * *spawn*:
 *  - environment, working directory, umask, signal mask, ignored signals, process group;
 *  - the standard streams that are open and not close-on-exec. No other fd reaches the child.
 *
 * All else is the server's, as it was when the server started: limits, cgroup, uid, namespaces and more
 * (doc/differences.md has the list). fsrv_request_set_attributes() sets much of it for the new process.
 */
FSRV_PUBLIC int fsrv_request_new(struct fsrv_request **ret_request);
FSRV_PUBLIC struct fsrv_request *fsrv_request_free(struct fsrv_request *request); /* takes NULL, returns NULL */

/*
 * Runs the function of a shared object, given as "module:function". It has main's signature, int (int, char **), and
 * what it returns is the exit code, by way of exit(3). The module is found as in the preload list; one that isn't
 * preloaded is loaded in the new process. ":name" is an entry point of the program itself (fsrv_zygote_enter()). If no
 * argv is set, argv[0] is `entry`.
 *
 * Errors: -EINVAL (no colon, nothing after it), -ENOMEM.
 */
FSRV_PUBLIC int fsrv_request_set_entry(struct fsrv_request *request, const char *entry);

/*
 * Runs a program. A name without a slash is looked up in the caller's PATH, as by execvp(3); if PATH is unset, in
 * "/bin:/usr/bin". argv is { program } if none is set. Errors: -EINVAL (empty), -ENOMEM.
 */
FSRV_PUBLIC int fsrv_request_set_program(struct fsrv_request *request, const char *program);

/* Sets a NULL-terminated list, which is copied. argv must not be empty (-EINVAL). environment NULL: the caller's at the
 * spawn. */
FSRV_PUBLIC int fsrv_request_set_argv(struct fsrv_request *request, const char *const *argv);
FSRV_PUBLIC int fsrv_request_set_environment(struct fsrv_request *request, const char *const *environment);

/* Sets the working directory, relative to the caller's at the spawn; NULL: the caller's itself. It applies before fd
 * actions. */
FSRV_PUBLIC int fsrv_request_set_directory(struct fsrv_request *request, const char *path);
FSRV_PUBLIC int fsrv_request_set_umask(struct fsrv_request *request, mode_t mask);

/* `mask` is the child's signal mask; NULL: the spawning thread's. `ignored` are the signals that the child ignores, all
 * others are at their default; NULL: those that the caller's process ignores. */
FSRV_PUBLIC int fsrv_request_set_signal_mask(struct fsrv_request *request, const sigset_t *mask);
FSRV_PUBLIC int fsrv_request_set_signals_ignored(struct fsrv_request *request, const sigset_t *ignored);

/*
 * Chooses the child's process group. pgid 0: the child leads a new group. Another pgid: the child joins that group,
 * which has to be of the server's session; otherwise the spawn fails with -EPERM of setpgid(2), stage GROUP. Without
 * this call the child joins the caller's group where it can. It leads a group of its own where the caller is in another
 * session than the server.
 */
FSRV_PUBLIC int fsrv_request_set_process_group(struct fsrv_request *request, pid_t pgid);
/* Gives the child a new session. The spawn fails with -EINVAL if a process group was set as well. */
FSRV_PUBLIC int fsrv_request_set_session(struct fsrv_request *request);

/*
 * File actions are carried out in the order of the calls, as posix_spawn_file_actions_*(3). For dup2, `fd` is the
 * child's if an earlier action (or the default standard streams) made it. Else it is the caller's, and has to be open
 * at the spawn. An fd number that is mapped twice without a close between is -EINVAL; 0, 1 and 2 can be mapped once
 * over the default.
 *
 * Errors: -EBADF (a negative number), -EINVAL (mapped twice), -ENOMEM, -E2BIG (over 65,536 actions).
 */
FSRV_PUBLIC int fsrv_request_add_dup2(struct fsrv_request *request, int fd, int child_fd);
/* Passes the caller's fd on under its own number, for what a program hands on as it was given it: make's jobserver, a
 * lock, a shell's `exec 3>log`. It is like fsrv_request_add_dup2(request, fd, fd), with one difference: if a preloaded
 * module uses that number in an entry point's process, the number stays the module's, where dup2 would be -EBUSY. */
FSRV_PUBLIC int fsrv_request_add_inherited(struct fsrv_request *request, int fd);
FSRV_PUBLIC int fsrv_request_add_open(struct fsrv_request *request, int child_fd, const char *path, int flags,
                                      mode_t mode);
FSRV_PUBLIC int fsrv_request_add_close(struct fsrv_request *request, int child_fd);

/* Hands the caller's fd to an entry point without choosing its number there: fsrv_worker_get_fds() lists them in order.
 * A program gets none of them. */
FSRV_PUBLIC int fsrv_request_add_fd(struct fsrv_request *request, int fd);

/* Removes all file actions and fds, so that the next spawn can use the same request with others. */
FSRV_PUBLIC void fsrv_request_clear_actions(struct fsrv_request *request);

/*
 * Sends bytes of any kind to the entry point (fsrv_worker_get_payload()). They are there when it starts: there is no
 * pipe to fill or to drain. Memory has to have room for them once more while the process lives; else the spawn fails
 * with -ENOMEM or -ENOSPC. n 0: none. A program gets nothing of it. Borrowed: the bytes have to stay as they are until
 * the spawns have returned.
 *
 * Errors: -EINVAL (NULL), -E2BIG (over 64 TiB).
 */
FSRV_PUBLIC int fsrv_request_set_payload(struct fsrv_request *request, const void *bytes, size_t n);

/*
 * The same without a copy: the bytes are those of a file, or of a memfd, which the process maps. Its size is that at
 * the moment of the spawn. Borrowed: the fd has to stay open until the spawns have returned, for reading (else the
 * spawn fails with -EACCES), and the file as it is until the processes have ended. What is written to it shows there.
 * If it shrinks, a process that reads behind its end is killed by SIGBUS, and the call's error says so. A process may
 * write to its payload; the file stays as it is. It replaces fsrv_request_set_payload(), and that replaces it.
 *
 * Errors: -EBADF. The spawn: -EBADF, -EINVAL (neither a file nor a memfd), -EIO (it has just shrunk).
 */
FSRV_PUBLIC int fsrv_request_set_payload_fd(struct fsrv_request *request, int fd);

/* Limits how long a spawn may take in all, preloading included; -1 for ever. The default is 120,000. */
FSRV_PUBLIC int fsrv_request_set_spawn_timeout(struct fsrv_request *request, int timeout_ms);
/*
 * Limits the process's life (wall clock), in milliseconds; 0: no limit. At the limit the process gets SIGTERM (and
 * SIGCONT), and SIGKILL when the grace is over as well. With a grace of 0 it gets SIGKILL at once. The status has
 * FSRV_STATUS_TIMED_OUT.
 *
 * A process that leads a process group (fsrv_request_set_process_group(), fsrv_request_set_session()) is ended with its
 * whole group. The members have all of the grace, though the leader may end before; only before Linux 6.9 they end with
 * it. If the process leads no group, its descendants that are in its group get the same signals while it lives, as far
 * as /proc lists them. A process that has left the group, by setsid(2) say, is not reached.
 *
 * The server keeps the limit. So the limit holds while the client is stopped or gone, and it ends with the server.
 */
FSRV_PUBLIC int fsrv_request_set_time_limit(struct fsrv_request *request, uint64_t limit_ms, uint64_t grace_ms);

/* The process gets SIGKILL when the last reference to the fsrv_process is gone, or when the client is gone. (Children
 * that fork(3) has given a copy of the handle have to be gone as well.) That reaches the group or the descendants as a
 * time limit does. It does not happen if the server has died before. If the process has ended by then, its group is
 * left alone. */
#define FSRV_SPAWN_KILL_ON_CLOSE 1u
/* fsrv_process_wait() also tells of stops and continuations. */
#define FSRV_SPAWN_TELL_STOPS 2u
/* When the entry point returns or calls exit(3), exit functions that were registered before it began don't run. Those
 * are preloaded modules', static C++ objects' destructors among them, and they write to the shared memory. Exit
 * functions that the process itself registered run, and stdio is flushed. The flag does nothing for a program. */
#define FSRV_SPAWN_QUICK_EXIT 4u
/* fsrv_process_get_result() has what the entry point gives back. A program gives nothing: -EINVAL from the spawn. */
#define FSRV_SPAWN_RESULT 8u
/* The process stops itself (SIGSTOP) when it has been told of as started, before its entry point or program runs, until
 * it gets SIGCONT. The client and its children may trace it (PR_SET_PTRACER). A module that isn't preloaded has been
 * loaded by then. Its time limit goes on meanwhile. It ends with its client, as with FSRV_SPAWN_KILL_ON_CLOSE: nobody
 * else would let it go on. A program that then can't be executed is no error of the spawn any more: the process exits
 * with 127. */
#define FSRV_SPAWN_STOPPED 16u
/*
 * Puts the process into this sandbox, which has to be sealed (else -EINVAL); NULL: into that of the server's options,
 * or none. The request keeps a reference.
 *
 * The process holds nothing to spawn by, no lifeline and no tracker: fsrv_server_inherit() and
 * fsrv_worker_get_lifeline() are -EPERM there. Its directory and file actions are subject to the sandbox too. In a
 * process that is in a sandbox itself the spawn fails with -EPERM. A sandbox that cannot be had fails the spawn, stage
 * SANDBOX. A server has up to 64 at a time, and a handle keeps the last 32.
 */
FSRV_PUBLIC int fsrv_request_set_sandbox(struct fsrv_request *request, struct fsrv_sandbox *sandbox);
/* flags: FSRV_SPAWN_…; -EINVAL: another bit. */
FSRV_PUBLIC int fsrv_request_set_flags(struct fsrv_request *request, uint32_t flags);

/* ---- Attributes of a request ------------------------------------------------------------------------------------- */

/* A part of a limit that stays as it is. */
#define FSRV_LIMIT_SAME (UINT64_MAX - 1)

struct fsrv_limit {
        int resource;        /* RLIMIT_… */
        uint64_t soft, hard; /* as setrlimit(2) has them, RLIM_INFINITY among them; or FSRV_LIMIT_SAME */
};

/* Which fields of a struct fsrv_attributes count. */
#define FSRV_ATTRIBUTE_LIMITS          (UINT64_C(1) << 0)
#define FSRV_ATTRIBUTE_NICE            (UINT64_C(1) << 1)
#define FSRV_ATTRIBUTE_AFFINITY        (UINT64_C(1) << 2)
#define FSRV_ATTRIBUTE_SCHEDULER       (UINT64_C(1) << 3)
#define FSRV_ATTRIBUTE_IO_PRIORITY     (UINT64_C(1) << 4)
#define FSRV_ATTRIBUTE_OOM_SCORE_ADJ   (UINT64_C(1) << 5)
#define FSRV_ATTRIBUTE_TIMER_SLACK     (UINT64_C(1) << 6)
#define FSRV_ATTRIBUTE_UID             (UINT64_C(1) << 7)
#define FSRV_ATTRIBUTE_GID             (UINT64_C(1) << 8)
#define FSRV_ATTRIBUTE_GROUPS          (UINT64_C(1) << 9)
#define FSRV_ATTRIBUTE_CAP_EFFECTIVE   (UINT64_C(1) << 10)
#define FSRV_ATTRIBUTE_CAP_PERMITTED   (UINT64_C(1) << 11)
#define FSRV_ATTRIBUTE_CAP_INHERITABLE (UINT64_C(1) << 12)
#define FSRV_ATTRIBUTE_CAP_AMBIENT     (UINT64_C(1) << 13)
#define FSRV_ATTRIBUTE_CAP_BOUNDING    (UINT64_C(1) << 14)
#define FSRV_ATTRIBUTE_SECUREBITS      (UINT64_C(1) << 15)
#define FSRV_ATTRIBUTE_NO_NEW_PRIVS    (UINT64_C(1) << 16) /* by itself: prctl(2), PR_SET_NO_NEW_PRIVS */
#define FSRV_ATTRIBUTE_TERMINAL        (UINT64_C(1) << 17)
#define FSRV_ATTRIBUTE_PDEATHSIG       (UINT64_C(1) << 18)
#define FSRV_ATTRIBUTE_TITLE           (UINT64_C(1) << 19)
#define FSRV_ATTRIBUTE_CGROUP          (UINT64_C(1) << 20)
#define FSRV_ATTRIBUTE_CGROUP_FD       (UINT64_C(1) << 21)
#define FSRV_ATTRIBUTE_DUMPABLE        (UINT64_C(1) << 22)
#define FSRV_ATTRIBUTE_MDWE            (UINT64_C(1) << 23) /* by itself: no memory becomes executable; Linux 6.3 */
#define FSRV_ATTRIBUTE_KEYRING         (UINT64_C(1) << 24) /* by itself: a new session keyring, keyctl(2) */
#define FSRV_ATTRIBUTE_RULESET         (UINT64_C(1) << 25)

#define FSRV_TERMINAL_STDIN (-1)

struct fsrv_attributes {
        size_t size;
        uint64_t mask; /* FSRV_ATTRIBUTE_… */

        const struct fsrv_limit *limits;
        size_t n_limits;
        int nice;                /* -20…19; the value itself, not an addition */
        int scheduler;           /* SCHED_OTHER, …_BATCH, …_IDLE, …_FIFO, …_RR, and SCHED_RESET_ON_FORK */
        int scheduler_priority;  /* 1…99 for SCHED_FIFO and SCHED_RR, else 0 */
        int io_class;            /* as ioprio_set(2) has it: 0 none, 1 real-time, 2 best effort, 3 idle */
        int io_level;            /* 0…7 */
        int oom_score_adj;       /* -1000…1000 */
        const void *affinity;    /* as sched_setaffinity(2) takes it, a cpu_set_t say */
        size_t affinity_size;    /* in bytes; at most 1,024 */
        uint64_t timer_slack_ns; /* 0: the usual one */

        uid_t uid; /* real, effective and saved; gid likewise */
        gid_t gid;
        const gid_t *groups; /* the supplementary groups, all of them; n_groups 0: none */
        size_t n_groups;
        /* Sets of capabilities: bit n is capability n of capabilities(7). After a change of the uid from root to
         * another the kernel leaves none, but for those that are named here. What is ambient is permitted and
         * inheritable too. What is not in `cap_bounding` is dropped from the bounding set; nothing can be added. */
        uint64_t cap_effective, cap_permitted, cap_inheritable, cap_ambient, cap_bounding;
        uint32_t securebits; /* SECBIT_… of capabilities(7) */
        /* The controlling terminal: an fd of the caller's, which is borrowed and has to be open at the spawn; or
         * FSRV_TERMINAL_STDIN, what becomes the child's standard input. It takes a new session
         * (fsrv_request_set_session()), and the spawn fails with -EINVAL without one. */
        int terminal;
        /* The signal for when the *server* ends: it is the process's parent. FSRV_SPAWN_KILL_ON_CLOSE is about the
         * caller's end. 0: none. */
        int pdeathsig;
        const char *title; /* what ps(1) shows of an entry point; at most 239 bytes. A program's is its argv: -EINVAL */
        /* The directory of a group of cgroups(7), version 2, by path or as an fd of the caller's. Its cgroup.procs is
         * opened at once, for writing, and the process moves itself. */
        const char *cgroup;
        int cgroup_fd;
        /* Whether a crash of an entry point dumps core, and whether processes of its own user may trace it; 0 or 1. A
         * change of ids turns it off, and it can be turned on again here. A program becomes dumpable by execve(2):
         * -EINVAL, its core limit is what counts. */
        int dumpable;
        /* A ruleset of landlock(7), which the process enters last of all, with no_new_privs: what the request's sandbox
         * leaves open it can narrow for this one process, to the one file that it is about, say. Borrowed. */
        int ruleset_fd;
};

/*
 * Sets what the new process is and may do, beyond what comes with the caller: in place of the attributes of an earlier
 * call. It is copied. What is not in the mask is the server's, as ever. NULL: nothing is set. The file
 * doc/attributes.md says in which order they are applied, and why.
 *
 * They are checked here as far as that can be done ahead: -EINVAL, with a sentence, stage ARGUMENT; for a cgroup the
 * errno of open(2); -EBADF (no fd), -ENOMEM. What the kernel refuses shows in the spawn, stage ATTRIBUTES, with
 * a sentence that names the attribute; nothing has run then. They are set with the rights of the process: those of the
 * server's user, so that a server of root's can give any uid. A named server of root's first gives the process the ids
 * of the user that asks (FSRV_LISTEN_AS_SERVER).
 *
 * They cost the system calls that set them. A program costs a fork more if its request has ids, capabilities,
 * securebits, a cgroup, an OOM score, a keyring or MDWE.
 */
FSRV_PUBLIC int fsrv_request_set_attributes(struct fsrv_request *request, const struct fsrv_attributes *attributes,
                                            struct fsrv_error *error);

/* Return the name of a limit by its RLIMIT_…, as "NOFILE", and of a capability by its number, as "net_bind_service";
 * NULL for a number that has none. Static. */
FSRV_PUBLIC const char *fsrv_limit_name(int resource);
FSRV_PUBLIC const char *fsrv_capability_name(int capability);

/* ---- Processes --------------------------------------------------------------------------------------------------- */

struct fsrv_process;

/*
 * Creates the process. When it returns 0 the process exists and, for a program, execve(2) succeeded. After a failure
 * nothing of the request has run, nor ever will; one exception is named below. Every failure has a stage.
 *
 * Errors, besides those of fsrv_server_ensure_running(): -ETIMEDOUT (stage QUEUE: no process took it within the spawn
 * time-out), -EINTR (fsrv_server_set_interrupt()), -EAGAIN (stages FORK, LIMIT), -EBADF (an fd that isn't open),
 * -ETOOMANYREFS (too many fds in flight, for all of the time-out), -EMFILE, -ENOMEM; stage EXEC, DIRECTORY, OPEN: the
 * errno of that call in the child; stage ENTRY: -ENOENT (no such module or function), -ELIBBAD, -EIO (the module cannot
 * be loaded, or ended the process while it was being loaded; text says why), -ETIMEDOUT (it was still loading when a
 * limit ended). In stage ENTRY the constructors of a module that isn't preloaded have run, once.
 */
FSRV_PUBLIC int fsrv_spawn(struct fsrv_server *server, const struct fsrv_request *request,
                           struct fsrv_process **ret_process, struct fsrv_error *error);

#define FSRV_PIPE_STDIN  1u
#define FSRV_PIPE_STDOUT 2u
#define FSRV_PIPE_STDERR 4u
/*
 * Spawns with new pipes for the chosen standard streams, over what the request maps there. ret_fds[0] is the end that
 * writes the child's standard input, ret_fds[1] and [2] are those that read its output and error; -1 where not chosen.
 */
FSRV_PUBLIC int fsrv_spawn_pipes(struct fsrv_server *server, const struct fsrv_request *request, uint32_t which,
                                 int ret_fds[3], struct fsrv_process **ret_process, struct fsrv_error *error);

/*
 * Spawns in steps that wait for nothing, for event loops:
 *
 *     fsrv_spawn_start(server, request, &spawn, &error);
 *     when fsrv_spawn_get_poll_fd(spawn) is readable:
 *             r = fsrv_spawn_finish(spawn, &process, &error);   1: not yet; else it is done with
 *
 * That one fd stands for all that fsrv_spawn() waits for: the server's start, the modules, room in the queue, the
 * answer. After the spawn time-out fsrv_spawn_finish() returns -ETIMEDOUT. One step takes time of its own: the call
 * that finds no private server running starts its program, which takes as long as posix_spawn(3). Call
 * fsrv_server_ensure_running() before to have it over with.
 *
 * Any number of spawns may be on their way, with up to five fds each until they are finished (RLIMIT_NOFILE). A handle
 * is for one thread at a time, and for the process that made it; a forked child leaves it alone. The function of
 * fsrv_server_set_interrupt() isn't called.
 *
 * The request, its payload and the fds that it names have to stay as they are until the spawn is done with.
 */
struct fsrv_spawn_handle;

/* Begins the spawn. Errors: those of fsrv_spawn() that show at once. */
FSRV_PUBLIC int fsrv_spawn_start(struct fsrv_server *server, const struct fsrv_request *request,
                                 struct fsrv_spawn_handle **ret_spawn, struct fsrv_error *error);
/* Borrowed. When it is readable (POLLIN), call fsrv_spawn_finish(). */
FSRV_PUBLIC int fsrv_spawn_get_poll_fd(const struct fsrv_spawn_handle *spawn);
/* Returns 1: not yet. 0: *ret_process is the process. Negative: an error of fsrv_spawn(). After 0 and errors the handle
 * is freed. */
FSRV_PUBLIC int fsrv_spawn_finish(struct fsrv_spawn_handle *spawn, struct fsrv_process **ret_process,
                                  struct fsrv_error *error);
/* Gives the spawn up instead of finishing it, and frees the handle. Returns 0: nothing of the request has run, nor ever
 * will. 1: it had started, and has been killed. */
FSRV_PUBLIC int fsrv_spawn_cancel(struct fsrv_spawn_handle *spawn);

FSRV_PUBLIC pid_t fsrv_process_get_pid(const struct fsrv_process *process);
/* Borrowed; valid as long as the process object. -ENOSYS: the kernel has none, or a sandbox hides it. */
FSRV_PUBLIC int fsrv_process_get_pidfd(const struct fsrv_process *process);
/*
 * One fd for any event loop. When it is readable (POLLIN), call fsrv_process_wait() with 0; -ETIMEDOUT means: keep
 * polling. Borrowed. It is made when first asked for. Errors: -EMFILE, -ENOMEM.
 */
FSRV_PUBLIC int fsrv_process_get_poll_fd(struct fsrv_process *process);

#define FSRV_STATUS_CORE_DUMPED 1u
#define FSRV_STATUS_TIMED_OUT   2u  /* its time limit has ended it, or made it end */
#define FSRV_STATUS_NO_RUSAGE   4u  /* the server was gone and the status is from the pidfd: rusage is zero */
#define FSRV_STATUS_STOPPED     8u  /* it lives, but `signal` has stopped it */
#define FSRV_STATUS_CONTINUED   16u /* it lives, and goes on */
#define FSRV_STATUS_REFUSED     32u /* its sandbox has killed it, for refused_call (FSRV_SANDBOX_KILL) */

/* The name of a system call ("socket") by its number on this machine; "unknown". Static. */
FSRV_PUBLIC const char *fsrv_syscall_name(int number);

struct fsrv_status {
        size_t size;
        pid_t pid;
        int exit_code;  /* 0…255 if it exited, else -1 */
        int signal;     /* the signal that ended it, else 0 */
        uint32_t flags; /* FSRV_STATUS_… */
        /* How many system calls of the process, and of what it started, its sandbox has refused. The number of the
         * first of them; fsrv_syscall_name() knows its name. */
        uint32_t refused;
        int refused_call;
        /* The use of the process since it was forked ahead of time, and of children that it waited for, as wait4(2). */
        struct rusage rusage;
};

/*
 * Waits for the process to end, and returns 0. It may be called again, and by several threads; the status stays. Set
 * ret_status->size; ret_status may be NULL.
 *
 * It returns 1 for a process that was spawned with FSRV_SPAWN_TELL_STOPS and was stopped or has gone on; the status
 * says which, once. exit_code is -1 then, and there is no rusage. A change that comes while the server is busy may be
 * told together with a later one, as the last of both. None is told when the server is gone.
 *
 * Errors: -ETIMEDOUT (still alive); -EOWNERDEAD, stage STATUS (*status lost*): the process has ended, but the server
 * died before it could tell, and this kernel (before 6.15) keeps the exit status for the parent alone. A status is
 * never invented. On such a kernel the same may happen where STARTED arrived in the very moment in which the spawn
 * time-out fired.
 */
FSRV_PUBLIC int fsrv_process_wait(struct fsrv_process *process, int timeout_ms, struct fsrv_status *ret_status,
                                  struct fsrv_error *error);

/*
 * Creates the process and waits for its end: fsrv_spawn() and fsrv_process_wait() in one, without a handle, and without
 * being woken for the start. Only its time limit (fsrv_request_set_time_limit()) ends it early, or a signal to its pid.
 * Set ret_status->size; ret_status may be NULL. Any number of threads may call it at once.
 *
 * Errors: those of both. Only a failure of stage STATUS (-EOWNERDEAD) means that something has run.
 */
FSRV_PUBLIC int fsrv_run(struct fsrv_server *server, const struct fsrv_request *request, struct fsrv_status *ret_status,
                         struct fsrv_error *error);

/* One of the two outputs. */
struct fsrv_output {
        size_t limit;     /* at most so many bytes are kept, and the rest is read and dropped; 0: all are kept */
        char *bytes;      /* what was kept, and a NUL behind it, which doesn't count; NULL while nothing was read */
        size_t size;      /* how many were kept */
        uint64_t dropped; /* how many were not */
        size_t room;      /* the library's own */
};

struct fsrv_communication {
        size_t size;
        const void *input; /* for its standard input, which ends then; borrowed */
        size_t input_size;
        size_t input_taken; /* bytes of it that went into the pipe; a process that reads no more is no failure */
        struct fsrv_output output, error;
        struct fsrv_status status; /* when 0 was returned */
        uint64_t reserved[4];
};

/*
 * Gives a process its input, takes both outputs, and waits for its end. Pass it the `fds` of fsrv_spawn_pipes(). It
 * spares you a loop with poll(2) and its deadlocks, and there is no SIGPIPE. Each fd is closed, and set to -1, when it
 * is done with; -1 from the beginning is a stream without a pipe. Zero the struct, and set its size.
 *
 * The call waits until the outputs have ended in every process that has them. So, as with a shell's $(…), it waits for
 * a background process that still has them. After the time-out, -ETIMEDOUT, call it again with the same arguments,
 * before or after fsrv_process_kill(): nothing that came is lost, and nothing is sent twice. Then, and after other
 * failures, `fds` that are not -1 are still the caller's. fsrv_communication_free() gives the outputs back.
 *
 * Errors: -ETIMEDOUT, -ENOMEM, those of fsrv_process_wait(), and of read(2) and write(2) but for -EPIPE.
 */
FSRV_PUBLIC int fsrv_communicate(struct fsrv_process *process, int fds[3], struct fsrv_communication *communication,
                                 int timeout_ms, struct fsrv_error *error);
FSRV_PUBLIC void fsrv_communication_free(struct fsrv_communication *communication);

/* Sends a signal by pidfd, so never to another process that got the same pid. -ESRCH when it has ended, -EINVAL,
 * -EPERM. */
FSRV_PUBLIC int fsrv_process_kill(struct fsrv_process *process, int signal);
/* Sends a signal to all of the process group that the process leads, or to it alone if it leads none. -ESRCH when the
 * process has ended, even if members of its group live. */
FSRV_PUBLIC int fsrv_process_kill_group(struct fsrv_process *process, int signal);

/* References: a new process has one. unref takes NULL and returns NULL. The last one closes the handle; the process
 * lives on, unless it was spawned with FSRV_SPAWN_KILL_ON_CLOSE. */
FSRV_PUBLIC struct fsrv_process *fsrv_process_ref(struct fsrv_process *process);
FSRV_PUBLIC struct fsrv_process *fsrv_process_unref(struct fsrv_process *process);

/* ---- Sandboxes --------------------------------------------------------------------------------------------------- */

/*
 * A sandbox says what processes may do. Make one from a profile, add to it, seal it, and give it to requests
 * (fsrv_request_set_sandbox()) or to a server's options. The server has a zygote of its own for each sandbox, which
 * locks itself in once. So a process in a sandbox takes as long to spawn as any other.
 *
 * doc/sandbox.md says what each profile closes, and by what; fsrv_sandbox_seal() reports what this system can enforce.
 *
 * All calls before fsrv_sandbox_seal() are for one thread, and copy what they are given. After it nothing can be
 * changed (-EPERM), and any number of threads may use the sandbox.
 */
struct fsrv_sandbox;

/*
 * A new sandbox with one reference. Profiles:
 *  - "untrusted": no network, no sockets, no exec, nothing that reaches other processes, few of the kernel's other
 *    calls; files of the system's libraries and programs may be read, and no others; limits of memory (4 GiB more than
 *    the zygote has), processor time (60 s), file size (1 GiB), open files (256), and no core dumps. Needs no
 *    namespace and no privilege;
 *  - "pure-compute": as untrusted, and no file may be opened, and no process made: what remains is memory, threads, and
 *    the fds that are given to the process;
 *  - "no-network", "no-exec": that, and no memory, fds and traces of processes outside, which could do it instead;
 *  - "none": nothing but what is added.
 * Errors: -EINVAL: there is no such profile; -ENOMEM.
 */
FSRV_PUBLIC int fsrv_sandbox_new(const char *profile, struct fsrv_sandbox **ret_sandbox, struct fsrv_error *error);

/* Groups of system calls. */
enum fsrv_refuse {
        FSRV_REFUSE_EXEC = 1u << 0,       /* execve, execveat */
        FSRV_REFUSE_NETWORK = 1u << 1,    /* sockets but AF_UNIX pairs that are no datagrams */
        FSRV_REFUSE_SOCKETS = 1u << 2,    /* all sockets, also pairs */
        FSRV_REFUSE_OTHERS = 1u << 3,     /* calls that reach other processes: ptrace, kill, prlimit, … */
        FSRV_REFUSE_KERNEL = 1u << 4,     /* calls that few programs need: io_uring, bpf, mounts, keys, modules, … */
        FSRV_REFUSE_METADATA = 1u << 5,   /* chmod, chown, xattrs, times */
        FSRV_REFUSE_FILES = 1u << 6,      /* to open, make or remove files at all */
        FSRV_REFUSE_NAMESPACES = 1u << 7, /* unshare, setns, and clone with such flags */
        FSRV_REFUSE_FORK = 1u << 8,       /* to make processes; threads may be made */
};

/* Refuses groups of system calls, or allows groups that the profile refuses. -EINVAL: there is no such group. */
FSRV_PUBLIC int fsrv_sandbox_refuse(struct fsrv_sandbox *sandbox, uint32_t groups);
FSRV_PUBLIC int fsrv_sandbox_allow(struct fsrv_sandbox *sandbox, uint32_t groups);

/*
 * One filter more: instructions of struct sock_filter (linux/filter.h), as bwrap's --seccomp and setpriv's
 * --seccomp-filter take them; n is their size in bytes. It is installed after the sandbox's own, and the stricter
 * answer counts. It has to let through what fork server and worker do themselves; doc/sandbox.md lists that. n 0: none.
 * Errors: -EINVAL: not a multiple of 8 bytes; -E2BIG: over 4,096 instructions; -ENOMEM.
 */
FSRV_PUBLIC int fsrv_sandbox_set_filter(struct fsrv_sandbox *sandbox, const void *bytes, size_t n);

/* What may be done with files below a path. */
#define FSRV_PATH_READ    1u /* read files and list directories */
#define FSRV_PATH_EXECUTE 2u /* execute files */
#define FSRV_PATH_WRITE   4u /* write to files, and truncate them */
#define FSRV_PATH_MAKE    8u /* make, rename and remove files */

/* Allows `access` (FSRV_PATH_…) to a file, or to all below a directory; other files are closed from then on. A relative
 * path is relative to the caller's working directory at this call. access 0 opens nothing, and other files are
 * closed all the same. The path has to exist when a zygote locks itself in.
 * Errors: -EINVAL: an empty path, or another access; -ENAMETOOLONG; -E2BIG: over 512 paths; -ENOMEM; those of
 * getcwd(3). */
FSRV_PUBLIC int fsrv_sandbox_add_path(struct fsrv_sandbox *sandbox, const char *path, uint32_t access);

#define FSRV_PORT_CONNECT 1u
#define FSRV_PORT_BIND    2u

/* Allows TCP to or from this port; other ports are closed from then on (Linux 6.7). UDP stays as it is. It is of use
 * where FSRV_REFUSE_NETWORK is not asked for: "untrusted" and "no-network" have no sockets to connect. Port 0 to bind
 * to: any that is free. Errors: -EINVAL, -E2BIG: over 512 ports; -ENOMEM. */
FSRV_PUBLIC int fsrv_sandbox_add_port(struct fsrv_sandbox *sandbox, uint16_t port, uint32_t access);

enum fsrv_mount {
        FSRV_MOUNT_BIND = 1, /* source, with all below it */
        FSRV_MOUNT_BIND_READ_ONLY = 2,
        FSRV_MOUNT_TMPFS = 3,    /* source: NULL */
        FSRV_MOUNT_PROC = 4,     /* source: NULL */
        FSRV_MOUNT_READ_ONLY = 5 /* what is at target already, with all below it; source: NULL */
};

/*
 * Mounts something at `target`, in a mount namespace of the sandbox's own, in the order of the calls. With a new root,
 * and in a tmpfs of the sandbox's, what is missing of `target` is made: directories, and a file for a file. Elsewhere
 * `target` has to exist, and its links are followed: it must not lie where others may write. With
 * FSRV_SANDBOX_NEW_ROOT, or where "/" itself is a target of BIND or TMPFS, the root is new and has these mounts alone:
 * what bwrap(1) does with `--ro-bind / / --tmpfs /tmp` are the mounts (BIND_READ_ONLY, "/", "/") and (TMPFS, NULL,
 * "/tmp"). Sources are of the tree as it was before.
 *
 * Without privileges this makes a user namespace, in which the process keeps its ids. Mounts and namespaces are never
 * left out: where they cannot be made, spawns fail.
 * Errors: -EINVAL: another kind, a target that isn't absolute or has "..", or no source; -E2BIG: over 256 mounts;
 * -ENAMETOOLONG; -ENOMEM; those of getcwd(3).
 */
FSRV_PUBLIC int fsrv_sandbox_add_mount(struct fsrv_sandbox *sandbox, enum fsrv_mount kind, const char *source,
                                       const char *target);

/* Makes namespaces: CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET (with its loopback up), CLONE_NEWIPC, CLONE_NEWUTS,
 * CLONE_NEWCGROUP, of <sched.h>. -EINVAL: another one. */
FSRV_PUBLIC int fsrv_sandbox_unshare(struct fsrv_sandbox *sandbox, int namespaces);

/* A limit, soft and hard: a resource of setrlimit(2). RLIM_INFINITY takes the profile's limit away. RLIMIT_AS and
 * RLIMIT_DATA come on top of what the zygote has mapped; RLIMIT_CPU and RLIMIT_NPROC hold for workers, not for the
 * zygote. At the limit of RLIMIT_CPU SIGXCPU comes, and SIGKILL a second later. A limit above the server's own hard
 * limit is that. -EINVAL: no such resource. */
FSRV_PUBLIC int fsrv_sandbox_limit(struct fsrv_sandbox *sandbox, int resource, uint64_t value);

#define FSRV_SANDBOX_STRICT   1u  /* what this system cannot enforce is an error */
#define FSRV_SANDBOX_KILL     2u  /* a refused system call kills the process; else it fails with EPERM */
#define FSRV_SANDBOX_SPAWN    4u  /* its processes may spawn others, into the same sandbox */
#define FSRV_SANDBOX_MDWE     8u  /* memory that was writable never becomes executable (Linux 6.3) */
#define FSRV_SANDBOX_NEW_ROOT 16u /* the root is new, and has the mounts alone */

/* Sets all flags anew. -EINVAL: another flag. */
FSRV_PUBLIC int fsrv_sandbox_set_flags(struct fsrv_sandbox *sandbox, uint32_t flags);

enum fsrv_rule_state {
        FSRV_RULE_ENFORCED = 1,
        FSRV_RULE_PARTLY = 2,
        FSRV_RULE_NOT_ENFORCED = 3,
};

/* What becomes of one rule on this system. The strings are static. */
struct fsrv_sandbox_rule {
        size_t size;
        const char *what; /* "no network" */
        const char *by;   /* "seccomp", "landlock ABI 4", … */
        uint32_t state;   /* enum fsrv_rule_state */
        const char *why;  /* of a gap: what is open, and what closes it; else "" */
        uint64_t reserved[4];
};

/*
 * Ends the making: checks all of it, and calls report(), unless that is NULL, for each rule. What it says holds for
 * servers on this system with the caller's privileges. With FSRV_SANDBOX_STRICT a gap is an error; it comes after all
 * rules were reported, and the sandbox can still be changed.
 *
 * Errors, stage SANDBOX: -EOPNOTSUPP: the first gap, by name; -E2BIG: over 60,000 bytes in all; -ENOMEM; -EPERM: it
 * is sealed already.
 */
FSRV_PUBLIC int fsrv_sandbox_seal(struct fsrv_sandbox *sandbox,
                                  void (*report)(const struct fsrv_sandbox_rule *rule, void *data), void *data,
                                  struct fsrv_error *error);

/* References may be taken and given by any thread. unref takes NULL and returns NULL. */
FSRV_PUBLIC struct fsrv_sandbox *fsrv_sandbox_ref(struct fsrv_sandbox *sandbox);
FSRV_PUBLIC struct fsrv_sandbox *fsrv_sandbox_unref(struct fsrv_sandbox *sandbox);

/*
 * Finds out what a run would need that the sandbox doesn't give: it runs run(data) in a child of the caller's, a fork,
 * with nothing closed, and calls learned() once for each word that would have to be added, as the command's --sandbox
 * has them: "allow=network", "read=/etc/hosts". What run() returns is the child's exit code; *ret_status is
 * waitpid(2)'s. Limits are not learned, nor what is lacking because of namespaces and mounts. It is for input that you
 * trust: the child may do all that the caller may. Blocks until the child has ended.
 *
 * Errors, stage SANDBOX: -EINVAL (not sealed), -ENOSYS, -EBUSY (another filter listens already, in a container), those
 * of fork(2).
 */
FSRV_PUBLIC int fsrv_sandbox_learn(const struct fsrv_sandbox *sandbox, int (*run)(void *data), void *run_data,
                                   void (*learned)(const char *word, void *data), void *data, int *ret_status,
                                   struct fsrv_error *error);

/*
 * Locks the calling process in, now and for good, as a sealed sandbox says: for code that locks itself later than at
 * its start, in any process that has one thread, be it a worker or not. RLIMIT_CPU counts from the process's start. In
 * a worker the lifeline and the tracker are closed, and, without FSRV_SANDBOX_SPAWN, what fsrv_server_inherit() uses.
 * The process keeps the other fds that it has.
 * Errors, stage SANDBOX: the step that failed, and what it was for. Then some of it may have been done, and the process
 * should end. -EINVAL: the sandbox is not sealed, or there are other threads.
 */
FSRV_PUBLIC int fsrv_worker_lock(const struct fsrv_sandbox *sandbox, struct fsrv_error *error);

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

struct fsrv_result {
        size_t size;
        const void *bytes; /* what the entry point gave back, read-only, until fsrv_result_free(); NULL if it failed */
        size_t n;
        int code;                  /* what the entry point gave to fsrv_worker_fail(); else 0 */
        uint32_t is_mapped;        /* the library's own */
        struct fsrv_status status; /* how the process ended; of size 0 if none ran */
        uint64_t reserved[4];
};

/*
 * Calls an entry point in a process of its own: the process finds `n` bytes of input by fsrv_worker_get_payload(), and
 * gives its result back by fsrv_worker_set_result() or fsrv_worker_result_buffer(). Waits until it has ended. If input
 * is NULL, the request's own payload is the input. The request's time limit is that of the call. The process is killed
 * if this client ends.
 *
 * Set ret_result->size. On success its bytes are the result, of 0 bytes if the entry point set none. Results of more
 * than 32 KiB are not copied: they are mapped from the memory that the process wrote. The mapping is private, so after
 * mprotect(2) they can be written to as well. Give them back by fsrv_result_free(). After a failure
 * ret_result->status says how the process ended, if one ran.
 *
 * Errors: those of fsrv_spawn() and fsrv_process_wait(). All others have the stage RESULT:
 *  - -EIO: the process was killed by a signal, or exited with another status than 0; status says which;
 *  - -ETIMEDOUT: the request's time limit has ended it;
 *  - -EREMOTEIO: the entry point has called fsrv_worker_fail(); the error's text is its text, and code is its code;
 *  - -ENODATA: it exited with 0, and its result did not come: it has called _exit(2), or has closed the fd;
 *  - -EPROTO: what came is no result. A process that writes to all fds may do that. Nothing of it is used.
 *  - -ENOMEM, -EMFILE: there is no memory or no fd for the result, here; or there, when the process wanted to send it.
 * Any number of threads may call it at once.
 */
FSRV_PUBLIC int fsrv_call(struct fsrv_server *server, const struct fsrv_request *request, const void *input, size_t n,
                          struct fsrv_result *ret_result, struct fsrv_error *error);

/*
 * The same apart: spawn with FSRV_SPAWN_RESULT, wait until fsrv_process_wait() has returned 0, and take the result. It
 * can be taken once. Doesn't wait.
 *
 * Errors: those of stage RESULT above; -EBUSY: the process has not ended; -ENOENT: no result was asked for, or it has
 * been taken; -EOWNERDEAD, stage STATUS: the status is lost, and the result with it.
 */
FSRV_PUBLIC int fsrv_process_get_result(struct fsrv_process *process, struct fsrv_result *ret_result,
                                        struct fsrv_error *error);

/* Takes a result that was never filled, too, and NULL. */
FSRV_PUBLIC void fsrv_result_free(struct fsrv_result *result);

struct fsrv_input {
        const void *bytes; /* borrowed; NULL: the request's own payload */
        size_t n;
};

/* Results are told in the order of the inputs. Without it they are told as they come. */
#define FSRV_MANY_IN_ORDER 1u

struct fsrv_many {
        size_t size;
        uint32_t in_flight; /* so many processes at a time, up to 4,096; 0: as many as there are processors */
        uint32_t retries;   /* a call whose process died, or ran out of time, is made so many times more */
        uint32_t flags;     /* FSRV_MANY_… */
        uint32_t reserved[5];
};

/*
 * Calls the entry point for each of n inputs, as fsrv_call() does, several at a time. For each, on_result() is called
 * once, in this thread: `r` is 0, or -errno with *error, as fsrv_call() returns them. The result is given back after
 * on_result() has returned; to keep it, copy the struct and set the original's bytes to NULL. If on_result() returns
 * another value than 0, the calls that are on their way are killed, and that value is returned. `how` may be NULL.
 *
 * Where there is no room for one process more (fds, processes, memory) the calls that are on their way go on, and the
 * next one is made when one of them has ended. 0: all have been told. -EINVAL, -ENOMEM; -EINTR
 * (fsrv_server_set_interrupt()).
 */
FSRV_PUBLIC int fsrv_call_many(struct fsrv_server *server, const struct fsrv_request *request,
                               const struct fsrv_input *inputs, size_t n, const struct fsrv_many *how,
                               int (*on_result)(void *data, size_t index, int r, struct fsrv_result *result,
                                                const struct fsrv_error *error),
                               void *data, struct fsrv_error *error);

/*
 * Creates `n` processes of one request, with several on their way at once. Returns how many there are;
 * ret_processes[0 … result-1] are set. If one failed there are less than n, *error says why that one did, and nothing
 * of it or of those after it has run. If the first failed, the call returns -errno.
 *
 * Errors: as fsrv_spawn(); -EINVAL (n is 0 or above 65,536).
 */
FSRV_PUBLIC int fsrv_spawn_many(struct fsrv_server *server, const struct fsrv_request *request, size_t n,
                                struct fsrv_process **ret_processes, struct fsrv_error *error);

/* ---- In a worker (an entry point, or code that it calls) --------------------------------------------------------- */

/* Yields the fds of fsrv_request_add_fd(), in order; borrowed, close-on-exec. *ret_fds is NULL if there were none.
 * -ENOENT: this process is no worker. */
FSRV_PUBLIC int fsrv_worker_get_fds(const int **ret_fds, size_t *ret_n_fds);
/* Yields the request's payload; borrowed, the worker's own copy. -ENOENT: this process is no worker. */
FSRV_PUBLIC int fsrv_worker_get_payload(const void **ret_bytes, size_t *ret_n);
/* Gives the memory of a large payload (over 64 KiB) back, when it isn't needed any more. -ENOENT: this process is no
 * worker. */
FSRV_PUBLIC int fsrv_worker_drop_payload(void);
/* Returns an fd that reads end-of-file (POLLIN|POLLHUP) when this process's client has ended or freed its server
 * handle. Borrowed. -ENOENT: this process is no worker. */
FSRV_PUBLIC int fsrv_worker_get_lifeline(void);
/* Yields the client, as the kernel stamped it on the request. -ENOENT: this process is no worker. */
FSRV_PUBLIC int fsrv_worker_get_client(pid_t *ret_pid, uid_t *ret_uid);

/* What the entry point gives back to fsrv_call() or fsrv_process_get_result() is sent when the process ends by itself:
 * when the entry point returns 0, or by exit(0). The last one that was set counts. A process that this one forks sends
 * nothing. The three calls return 0; -ENOTCONN: no result is wanted; -ENOENT outside a worker; -ENOMEM. */

/* Gives these bytes back, which are copied. */
FSRV_PUBLIC int fsrv_worker_set_result(const void *bytes, size_t n);
/* Gives n bytes back, which you write to *ret_bytes; they are zero at first. The memory is the library's. More than
 * 32 KiB are pages that the client maps as they are, of several GiB if need be. Don't write there once exit functions
 * run. */
FSRV_PUBLIC int fsrv_worker_result_buffer(size_t n, void **ret_bytes);
/* Gives a failure back: the client's call fails with this code and text, whatever the exit status. Of the text 255
 * bytes are sent. */
FSRV_PUBLIC int fsrv_worker_fail(int code, const char *text);

/* ---- A program that is its own zygote ---------------------------------------------------------------------------- */

struct fsrv_entry {
        const char *name;
        int (*function)(int argc, char **argv); /* what it returns is the exit code, by way of exit(3) */
};

/*
 * Call this once, at the top of main, after what the workers shall share (reading a configuration, building tables).
 * Then fsrv_request_set_entry(request, ":name") spawns the entry point `name` from a server whose preload list has
 * FSRV_PRELOAD_MAIN.
 *
 * In the program that people started the call returns 0. The server starts its zygote as this very program, with the
 * same arguments, standard input from /dev/null and standard output on standard error (see FSRV_SERVER_PRELOAD_OUTPUT).
 * What comes before the call runs there as it did here, and the call doesn't return there: the zygote forks, and each
 * worker runs an entry point. Entry points are found by the table; so nothing has to be exported, and the program may
 * be position-independent or static.
 *
 * argc, argv: main's. entries: ends with an entry whose name is NULL; it isn't copied, nor are the functions.
 *
 * Before the call the program must not start threads, become a daemon, close fd 3, or spawn from a server with
 * FSRV_PRELOAD_MAIN (-EINVAL there). Fds above 2 do not reach the zygote. In workers, signal handlers and ignored
 * signals from before the call are reset. Exit handlers from before it run at the end of each worker, as after fork(2),
 * and not in the zygote.
 *
 * Errors: -EINVAL (argv or entries NULL, an empty name or a NULL function), -EALREADY (called twice), -ENOMEM; in a
 * zygote only, stage START: -EBADF (fd 3 was closed before the call), -ECHILD (the program forked before it, or the
 * server has died).
 */
FSRV_PUBLIC int fsrv_zygote_enter(int argc, char **argv, const struct fsrv_entry *entries, struct fsrv_error *error);

/* ---- What a module costs, and what speaks against forking after it ----------------------------------------------- */

struct fsrv_module_fd {
        int fd;
        const char *kind; /* "file", "socket", "pipe", "epoll", "eventfd", "io_uring", "device", "other" */
        const char *what; /* as /proc/PID/fd has it: "/dev/nvidia0", "anon_inode:[eventpoll]", … */
};

struct fsrv_module_report {
        size_t size;
        const char *module;
        /* One line: "no risk found", "risky: …" or "fails: …". Only loading is tried; no function is called. */
        const char *verdict;
        int err;                    /* 0, or why it could not be loaded (a positive errno value) */
        uint64_t load_us;           /* wall-clock time */
        uint64_t private_dirty_kib; /* memory that became private and dirty through it */
        uint64_t fork_pages;        /* entries of page tables that each fork copies because of it */
        const char *const *threads; /* the names of threads that it left running */
        size_t n_threads;
        const struct fsrv_module_fd *fds; /* what it left open */
        size_t n_fds;
};

/* A mapping of the prepared zygote, and what was done to it as the options' `memory` says. */
struct fsrv_mapping_report {
        size_t size;
        uint64_t start, end;
        const char *what; /* as /proc/PID/maps has it, of a long path the end; "" for anonymous memory */
        uint64_t frozen, collapsed, left; /* bytes of private memory; what is left is copied by each fork, as ever */
        const char *why;                  /* one line: why not all of it is frozen; "": all is */
};

/*
 * Loads the modules as a zygote would, in a zygote that serves nobody. It calls report() for each module in order, as
 * soon as that has been loaded. A module that cannot be loaded, crashes or hangs (options' preload_timeout_ms) is the
 * last one reported. When all are loaded it calls report_mapping(), unless that is NULL, for each mapping in ascending
 * order; with FSRV_MEMORY_OFF for none. What a report points to is valid during the call. While it runs the zygote is a
 * child of the caller's (SIGCHLD).
 *
 * Used of `options`: preload (without FSRV_PRELOAD_MAIN), preload_timeout_ms, memory, helper_directory. Returns the
 * number of modules that could not be loaded: 0 or 1.
 *
 * Errors: -EINVAL, -E2BIG (options), -ENOMEM, -EMFILE; stage START: the zygote program cannot be executed.
 */
FSRV_PUBLIC int fsrv_check_preload(const struct fsrv_server_options *options,
                                   void (*report)(const struct fsrv_module_report *report, void *data),
                                   void (*report_mapping)(const struct fsrv_mapping_report *report, void *data),
                                   void *data, struct fsrv_error *error);

/* ---- Resource tracker -------------------------------------------------------------------------------------------- */

/*
 * A resource tracker is a process of its own. It knows which named semaphores and shared-memory segments exist. When
 * the last process that could have used them is gone, it reads end-of-file and removes what is left. It speaks the
 * lines of CPython's multiprocessing.resource_tracker, so one tracker can serve C and Python. A family of processes has
 * one: each spawn carries its fd on. A name is registered once however often it is told, and it is unregistered once.
 *
 * In the calls below `server` NULL means the default handle.
 */
#define FSRV_RESOURCE_SEMAPHORE     "semaphore"     /* sem_unlink(3) */
#define FSRV_RESOURCE_SHARED_MEMORY "shared_memory" /* shm_unlink(3) */
#define FSRV_RESOURCE_DUMMY         "dummy"         /* nothing is removed, but it is named at the end: for tests */

/*
 * Registers a name, or takes it back. A tracker that was killed is started anew; the new one says on standard error
 * that names which the old one knew may be left behind. Threads and fork: as server handles.
 *
 * Errors, stage TRACKER: -EINVAL (an unknown type, an empty name), -ENAMETOOLONG (over 255 bytes), -ETIMEDOUT (a
 * tracker that is stopped: its pipe was full for 10 s), -EPIPE (three died in a row), and those of starting it
 * (-ENOENT, -EAGAIN, …).
 */
FSRV_PUBLIC int fsrv_tracker_register(struct fsrv_server *server, const char *type, const char *name,
                                      struct fsrv_error *error);
FSRV_PUBLIC int fsrv_tracker_unregister(struct fsrv_server *server, const char *type, const char *name,
                                        struct fsrv_error *error);
/* Makes sure that there is a tracker: starts it, or starts it anew. */
FSRV_PUBLIC int fsrv_tracker_probe(struct fsrv_server *server, struct fsrv_error *error);
/* Returns the fd to write lines to, for programs that speak them: pass it on to a Python child, say. Borrowed. Starts
 * the tracker. */
FSRV_PUBLIC int fsrv_tracker_get_fd(struct fsrv_server *server, struct fsrv_error *error);
/* Makes the handle use an existing tracker by its fd (CPython's own, say), which is copied. The tracker that was in use
 * ends with its last other user. -EBADF (not open, or not for writing). */
FSRV_PUBLIC int fsrv_tracker_set_fd(struct fsrv_server *server, int fd, struct fsrv_error *error);

/* ---- The classic calls ------------------------------------------------------------------------------------------- */

/*
 * These are the calls of CPython's multiprocessing.forkserver, for programs that are built around them. They work on
 * the default handle, over the same wire. New code has more from fsrv_spawn().
 */

/* As fsrv_server_ensure_running(), and the resource tracker first. */
FSRV_PUBLIC int fsrv_ensure_running(struct fsrv_error *error);

/* Sets `n` modules for the servers to come. They are checked as they are given: -EINVAL (a NULL or empty name among
 * them). CPython's fork server checks the list of before instead. As fsrv_server_set_preload() with the policy *warn*.
 */
FSRV_PUBLIC int fsrv_set_preload(const char *const *modules, size_t n, struct fsrv_error *error);

/* Sets what fsrv_connect_to_new_process() runs: "module:function", or ":name" (fsrv_zygote_enter()). Its argv[0] is
 * that. */
FSRV_PUBLIC int fsrv_set_entry(const char *entry, struct fsrv_error *error);

/*
 * Creates a process. The process has:
 *  - copies of the caller's `fds`, any number of them (fsrv_get_inherited_fds());
 *  - a data fd that reads what is written to *ret_data_w (fsrv_worker_get_data());
 *  - a sentinel that reads end-of-file when the caller has ended (fsrv_worker_get_lifeline()).
 *
 * *ret_status_r yields two native signed 64-bit words by plain read(2). The first is the pid, and is there when the
 * call returns. The second comes when the process has ended: its exit code, or minus the signal that killed it. The
 * fork server writes the words, so closing the status fd early harms nothing. End-of-file instead of the second word
 * means that the status was lost with the server, and the process may still live; a status is never invented. Both fds
 * are the caller's.
 *
 * Writing to a process that doesn't read blocks when the pipe is full (64 KiB), and gives EPIPE once it has ended.
 *
 * Errors: as fsrv_spawn(); -EINVAL (no entry point was set, fds NULL). On failure nothing is open that wasn't before.
 */
FSRV_PUBLIC int fsrv_connect_to_new_process(const int *fds, size_t n, int *ret_status_r, int *ret_data_w,
                                            struct fsrv_error *error);
/* The same on another handle than the default one. */
FSRV_PUBLIC int fsrv_server_connect_to_new_process(struct fsrv_server *server, const char *entry, const int *fds,
                                                   size_t n, int *ret_status_r, int *ret_data_w,
                                                   struct fsrv_error *error);

/* In a process made by a fork server: yields the caller's fds, in order, borrowed; an empty list is *ret_n == 0.
 * -ENOENT in any other process. */
FSRV_PUBLIC int fsrv_get_inherited_fds(const int **ret_fds, size_t *ret_n);
/* Returns the fd of fsrv_connect_to_new_process()'s data, borrowed. -ENOENT: this process was not made by that call. */
FSRV_PUBLIC int fsrv_worker_get_data(void);

/* As fsrv_server_stop(). The next call that needs a server starts one. */
FSRV_PUBLIC int fsrv_stop(int timeout_ms, struct fsrv_error *error);

/* Reads or writes one native signed 64-bit word, all of it, on an fd that blocks. read: -ENODATA at end-of-file,
 * -EPROTO when it ends within the word; else the errno of read(2), write(2) (and SIGPIPE, as there). */
FSRV_PUBLIC int fsrv_read_signed(int fd, int64_t *ret_value);
FSRV_PUBLIC int fsrv_write_signed(int fd, int64_t value);

#ifdef __cplusplus
}
#endif

#endif
