/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_H
#define FORKSERVER_H

/*
 * libforkserver: processes from a process that was prepared once.
 *
 * The order of use: a *server* (a handle on a fork server: private to this program, or an existing one at a socket),
 * a *request* (what to run and how), `fsrv_spawn()`, which yields a *process* (pid, pidfd, exit status).
 *
 * Conventions, for every call unless its comment says otherwise:
 *  - Returns 0 or a positive result on success, a negative errno value on failure. `errno` itself means nothing.
 *  - Outputs come last, are named `ret_…`, and are left alone on failure.
 *  - `struct fsrv_error *error` may be NULL. On failure it says at which stage, which errno, and a sentence for people;
 *    on success it is left alone. It is the caller's own memory: one per thread.
 *  - Times are milliseconds of CLOCK_MONOTONIC; a time-out of -1 means none, 0 means "look, don't wait".
 *  - Every file descriptor that the library makes is close-on-exec; one that a call returns belongs to the caller
 *    unless the comment says *borrowed*.
 *  - Threads: a server may be used from any number of threads at once, and in a child after fork(). A request must not
 *    be changed while another thread uses it; spawning from one request in several threads is fine. A process may be
 *    waited for and killed from several threads at once, each of which holds a reference.
 *    It is for the process that made it: a child of fork(3) has a copy, which it may unref, and which ends nothing; to
 *    wait with it would take the status from the other.
 *  - The library starts no thread, installs no signal handler, prints nothing, never exits, and waits for no child that
 *    isn't its own.
 *  - No lock is held by who waits: a call waits for its own sake, as long as it may, and a fork(3) elsewhere for none.
 *  - Options structs begin with `size`, which the caller sets to sizeof the struct; what is zero has its default.
 *
 * Which calls may wait, for what, and how long. All others don't.
 *
 *  fsrv_spawn(), fsrv_spawn_pipes(),     for the server, modules, room in the queue, a process: the request's spawn
 *  fsrv_connect_to_new_process()         time-out (120 s); for execve(2): 10 s at least
 *  fsrv_spawn_many()                     the same for each process
 *  fsrv_run()                            the same, then for the end of the process: for ever, or its time limit
 *  fsrv_spawn_start(), …_finish(),       no; but for the start of the server's program, once, as long as posix_spawn(3)
 *  …_cancel()                            takes
 *  fsrv_server_wait_ready()              its time-out
 *  fsrv_server_ensure_running(),         for the server's program, or an answer of the one at the path: 10 s. Not for
 *  fsrv_server_connect()                 modules
 *  fsrv_server_get_stats()               for an answer: 10 s
 *  fsrv_server_stop()                    for an answer: 10 s; then for the workers: its time-out; with IN_TREE 1 s more
 *  fsrv_server_end()                     with IN_TREE: its time-out
 *  fsrv_process_wait(),                  their time-outs
 *  fsrv_communicate()
 *  fsrv_tracker_register() and its kin   for room in a tracker's pipe: 10 s
 *  fsrv_check_preload()                  for each module: the options' preload time-out
 *  fsrv_read_signed(), …_write_signed()  as read(2) and write(2)
 *
 * What takes time in proportion to something: a payload (it is copied once), a program's large memory with IN_TREE.
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

/* Where a spawn (or another call) failed. Numbers are part of the protocol: they are never reused. */
enum fsrv_stage {
        FSRV_STAGE_NONE = 0,
        FSRV_STAGE_ARGUMENT = 1,    /* the caller's own arguments; nothing was sent */
        FSRV_STAGE_START = 2,       /* starting the server program */
        FSRV_STAGE_CONNECT = 3,     /* reaching a server at a socket path */
        FSRV_STAGE_CREDENTIALS = 4, /* the other side is not who it has to be */
        FSRV_STAGE_VERSION = 5,     /* the other side speaks another version of the protocol */
        FSRV_STAGE_QUEUE = 6,       /* the request could not be put on the doorbell, or nobody took it in time */
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
        FSRV_STAGE_COUNT = 22
};

#define FSRV_ERROR_TEXT_SIZE 256

struct fsrv_error {
        int err;        /* a positive errno value */
        uint32_t stage; /* enum fsrv_stage */
        pid_t pid;      /* the process that failed, where there was one, else 0 */
        uint32_t reserved[5];
        char text[FSRV_ERROR_TEXT_SIZE]; /* one line without a newline, NUL-terminated: names the thing and the cause */
};

/* The name of a stage ("exec", "preload", …), "unknown" for a number that isn't one. Static. */
FSRV_PUBLIC const char *fsrv_stage_name(uint32_t stage);

/* The version of the library that is linked at run time, as FSRV_VERSION. Static. */
FSRV_PUBLIC const char *fsrv_version(void);

/* ---- Servers ----------------------------------------------------------------------------------------------------- */

struct fsrv_server;

/* What happens when a module of the preload list cannot be loaded. A module that *crashes* or hangs while it loads
 * takes the zygote with it and fails every spawn under any policy. */
enum fsrv_preload_policy {
        FSRV_PRELOAD_WARN = 0,  /* the zygote says so on the standard error that the server was started with; default */
        FSRV_PRELOAD_FAIL = 1,  /* every spawn fails with stage FSRV_STAGE_PRELOAD */
        FSRV_PRELOAD_IGNORE = 2 /* nothing is said */
};

/* What is done to the zygote's memory after preloading, so that a fork doesn't take the longer the more is loaded. */
enum fsrv_memory {
        FSRV_MEMORY_AUTO = 0,   /* freezing where that is safe, else collapsing; nothing below 1 MiB; default */
        FSRV_MEMORY_FREEZE = 1, /* the same, and the zygote says on standard error why it did less */
        /* into huge pages, of which a fork copies one entry for 2 MiB; it says why it can't be done */
        FSRV_MEMORY_COLLAPSE = 2,
        FSRV_MEMORY_OFF = 3
};

/* In a preload list: the calling program itself. Its zygote is this program, run again up to fsrv_zygote_enter(). */
#define FSRV_PRELOAD_MAIN "__main__"

#define FSRV_SERVER_TRACKER 1u /* a resource tracker runs before the first spawn, and its fd goes along with each */
/* What modules write to standard output while they are loaded goes to that of the process that starts the (private)
 * server, until all have been loaded once. Else it goes to standard error, as always later and in a named server: so
 * that nobody who reads the program's output waits for the server's end. */
#define FSRV_SERVER_PRELOAD_OUTPUT 2u
/* The (private) server and all that it starts are below this process in the tree of processes, where tools and
 * debuggers look for them, by way of a process in between, which does nothing but to wait for the server's end. That
 * one is a child without an exit signal: only a wait with __WCLONE or __WALL sees it, and no SIGCHLD handler does. The
 * library reaps it when it starts the next server, in fsrv_server_stop() and fsrv_server_end(). It begins as a copy of
 * this process without its large memory, which is marked MADV_DONTFORK for that moment (fork(3) in another thread waits
 * for it); so the start takes what fork(2) takes for the rest, and the look for it, some 15 ms a GiB. Where a copy
 * cannot be made (-EAGAIN, -ENOMEM) the server is nobody's child, as without this flag. */
#define FSRV_SERVER_IN_TREE 4u

struct fsrv_server_options {
        size_t size;
        /* NULL-terminated list of modules (shared objects: a path with a slash, or a name that the dynamic loader
         * finds; FSRV_PRELOAD_MAIN anywhere), loaded in this order; NULL for none. Copied */
        const char *const *preload;
        uint32_t preload_policy; /* enum fsrv_preload_policy */
        uint32_t standbys;       /* processes kept ready, 1…64; 0 for the default, 4 (doc/performance.md says why) */
        /* limit for loading all modules, and then for their fork handlers, in the zygote and in each new process (which
         * may take up to twice as long before it is killed); 0 for the default of 60,000 */
        int preload_timeout_ms;
        uint32_t flags; /* FSRV_SERVER_… */
        /* enum fsrv_preload_policy: what happens when the zygote has other threads at the time of its first fork (after
         * a throw-away fork, since some libraries stop theirs for one). A child has none of them, and may find a lock
         * that one of them held: by default it is said on standard error, with the module that started them */
        uint32_t thread_policy;
        uint32_t memory; /* enum fsrv_memory */
        /* where forkserver-server and forkserver-zygote lie; NULL: $FORKSERVER_HELPERS if it is set and the program
         * isn't setuid, else beside the library (relative to it, as installed), else where they were configured to
         * be */
        const char *helper_directory;
        /* another program as the zygote, which calls fsrv_zygote_serve() (forkserver-host.h): its arguments, of which
         * the first is its path. NULL: forkserver-zygote. Copied */
        const char *const *zygote_argv;
        const void *zygote_data; /* bytes of any kind for that program, at its fd FSRV_ZYGOTE_DATA_FD. Copied */
        size_t zygote_data_size;
        uint64_t reserved[4];
};

/*
 * A handle on a private server, which is started by the first call that needs it and again after it died. Nobody else
 * can find it: it has no name. It ends when the handle, all its copies in forked children, and all workers that could
 * spawn from it are gone. It is no child of the caller's: wait(-1) and SIGCHLD handlers do not see it. (A caller that
 * is the reaper of orphans, as pid 1 of a container is, inherits it like every orphan when it ends, unless
 * FSRV_SERVER_IN_TREE is set.)
 *
 * options: NULL for the defaults.
 * Errors: -EINVAL (an option out of range), -E2BIG (a preload list over 60 KiB), -ENOMEM, -EMFILE, -ENFILE.
 */
FSRV_PUBLIC int fsrv_server_new(const struct fsrv_server_options *options, struct fsrv_server **ret_server,
                                struct fsrv_error *error);

#define FSRV_UID_OWN ((uid_t)-1)

/*
 * A handle on the server that listens at `path`. The server must run as `server_uid`; FSRV_UID_OWN means the caller's
 * own effective uid or root. Connects at once; connects again when that server was replaced by a new one at the same
 * path.
 *
 * Errors: -ENAMETOOLONG (over 107 bytes, unix(7)), -ENOENT, -ECONNREFUSED (nobody listens any more), -EACCES (the
 * socket's mode, or the server refuses the caller's uid), -EPERM (the server runs as another uid), -EPROTO (something
 * else listens there), -EPROTONOSUPPORT (a server of another version), -ETIMEDOUT (no answer within 10 s).
 */
FSRV_PUBLIC int fsrv_server_connect(const char *path, uid_t server_uid, struct fsrv_server **ret_server,
                                    struct fsrv_error *error);

/*
 * In a worker: a handle on the server that it came from, so that children use their parent's server. Not for programs
 * that were exec'd; they get nothing of the server's.
 *
 * Errors: -ENOENT when this process is no worker.
 */
FSRV_PUBLIC int fsrv_server_inherit(struct fsrv_server **ret_server, struct fsrv_error *error);

/*
 * Makes sure that the server runs: starts a private one, connects to a named one. fsrv_spawn() does this by itself;
 * call it early to have the preloading over with. Does not wait for the preloading: fsrv_server_wait_ready() does.
 *
 * Errors: as fsrv_server_connect(); stage START: -ENOENT (no server program), any errno of clone(2) or execve(2).
 */
FSRV_PUBLIC int fsrv_server_ensure_running(struct fsrv_server *server, struct fsrv_error *error);

/*
 * Waits until a process is ready to take a request: the server runs, all modules are loaded, and a spawn would be
 * served at once. For a program that has something else to do while they load, and for one that wants to hear early
 * that they cannot be loaded. Any handle. Errors: as fsrv_spawn(); -ETIMEDOUT (not ready in time), stage PRELOAD (a
 * module of the preload list fails), LIMIT (the server has as many workers as it can take).
 */
FSRV_PUBLIC int fsrv_server_wait_ready(struct fsrv_server *server, int timeout_ms, struct fsrv_error *error);

/*
 * Changes a private server's preload list. The next spawn uses a new server with a new zygote; workers of the old one
 * finish undisturbed, and it ends after the last of them.
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
        uint64_t zygote_restarts;  /* starts after one died or failed to start */
        uint64_t malformed;        /* messages of an unknown type or a wrong size, which the server left unread */
        uint32_t workers;          /* alive now */
        uint32_t standbys;         /* idle now */
        uint32_t trying;           /* whether a module is being tried now (is_tried in forkserver-host.h) */
        uint64_t memory_frozen;    /* bytes of the zygote's private memory that a fork has nothing to do for */
        uint64_t memory_collapsed; /* bytes of it in huge pages */
        uint64_t memory_left;      /* bytes that stayed as they were */
        /* why it isn't frozen, a sentence without a full stop; "" if it is, or was not asked for */
        char memory_why[256];
        /* the module of the preload list that was tried and that each process loads by itself, and why, a sentence;
         * "": there is none */
        char left_out[256];
        /* By enum fsrv_stage: what the server and its workers reported as failed. (Not that a module which isn't
         * preloaded couldn't be loaded: its client alone hears of that.) */
        uint64_t failures[32];
        uint64_t signals[65]; /* how many workers signal n has ended */
};

/* What the server counted since it started. Set ret_stats->size. A private server that doesn't run yields zeros.
 * Errors: -EINVAL (size), -EOPNOTSUPP (a handle from fsrv_server_inherit()), -ETIMEDOUT (10 s), as connect. */
FSRV_PUBLIC int fsrv_server_get_stats(struct fsrv_server *server, struct fsrv_stats *ret_stats,
                                      struct fsrv_error *error);

/*
 * Stops the server: it takes no new request, and ends when its last worker has. Waits for that. A later spawn on a
 * private handle starts a new one. A server that isn't running is stopped already.
 *
 * Errors: -ETIMEDOUT (it still has workers; it goes on draining), -EACCES (a named server of another uid: only its own
 * uid and root may stop it), -EOPNOTSUPP (a handle from fsrv_server_inherit()).
 */
FSRV_PUBLIC int fsrv_server_stop(struct fsrv_server *server, int timeout_ms, struct fsrv_error *error);

/*
 * Has a call that waits on this handle (for the server's start, for modules to be loaded, for an answer) ask
 * check(data) whether it is to go on: at once when a signal handler of its thread has run, and at least every 50 ms,
 * since a signal may come before the wait, or to another thread. Non-zero ends the call: -EINTR. A request is withdrawn
 * by that, and surely nothing of it ever runs; has it started in that very moment, the call returns 0 as ever, with the
 * process. (A program that has not been executed yet is killed.) check() is called in the thread that waits: it must
 * not use this handle. fsrv_run(), once the server runs, and
 * fsrv_process_wait() don't ask.
 * check NULL: nobody is asked. To be called before the handle is used by other threads.
 */
FSRV_PUBLIC void fsrv_server_set_interrupt(struct fsrv_server *server, int (*check)(void *data), void *data);

/*
 * For the end of a program: gives up what the handle has of the server, as freeing it does. With FSRV_SERVER_IN_TREE it
 * waits until the server has ended, if nobody else holds it (a process of it that lives, a forked copy of this
 * program): so no zombie is left where nobody reaps orphans. A later spawn on a private handle starts a new server.
 * Errors: -ETIMEDOUT.
 */
FSRV_PUBLIC int fsrv_server_end(struct fsrv_server *server, int timeout_ms);

/* Gives the handle up; takes NULL; returns NULL. Processes that were spawned stay valid and keep their status. */
FSRV_PUBLIC struct fsrv_server *fsrv_server_free(struct fsrv_server *server);

/*
 * The process's own handle, for code that shares one without knowing of each other: made by the first call, private,
 * with a resource tracker; in a worker the one that fsrv_server_inherit() gives. It is the only state that the library
 * keeps. Borrowed: never freed. Threads: any, also right after fork().
 *
 * Errors: -ENOMEM, -EMFILE, -ENFILE.
 */
FSRV_PUBLIC int fsrv_server_default(struct fsrv_server **ret_server, struct fsrv_error *error);

struct fsrv_listen_options {
        size_t size;
        const char *path; /* where to listen: at most 107 bytes, in a directory that only its owner can write to */
        mode_t mode;      /* the socket's; 0 for 0600 */
        const uid_t *allow_uids; /* who may spawn besides the server's own uid and root */
        size_t n_allow_uids;     /* at most 64 */
        uint64_t reserved[4];
};

/*
 * Replaces the calling program by a named server in the foreground (as execve(2) does: same pid, so that a supervisor
 * sees it). It logs on its standard error; SIGTERM and SIGINT drain it (no new spawns, workers finish), a second one
 * kills the workers. It removes its socket at the end. Returns only on failure.
 */
FSRV_PUBLIC int fsrv_serve(const struct fsrv_listen_options *listen, const struct fsrv_server_options *options,
                           struct fsrv_error *error);

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

struct fsrv_request;

/*
 * What to run. Everything that isn't set is as posix_spawn(3) has it, and taken at the moment of the *spawn*: the
 * caller's environment, working directory, umask, signal mask, ignored signals, process group, and its standard input,
 * output and error, as far as they are open and not close-on-exec. No other fd reaches the child (that is the one
 * difference).
 */
FSRV_PUBLIC int fsrv_request_new(struct fsrv_request **ret_request);
FSRV_PUBLIC struct fsrv_request *fsrv_request_free(struct fsrv_request *request); /* takes NULL, returns NULL */

/*
 * Runs the function of a shared object, given as "module:function"; it has main's signature, int (int, char **), and
 * what it returns is the exit code, by way of exit(3). The module is found as in the preload list; one that isn't
 * preloaded is loaded in the new process. ":name": an entry point of the program itself (fsrv_zygote_enter()). argv[0]
 * is what was given if no argv is set. Errors: -EINVAL (no colon, nothing after it), -ENOMEM.
 */
FSRV_PUBLIC int fsrv_request_set_entry(struct fsrv_request *request, const char *entry);

/*
 * Runs a program. A name without a slash is looked up in the caller's PATH (as execvp(3): if unset, "/bin:/usr/bin").
 * argv is { program } if none is set. Errors: -EINVAL (empty), -ENOMEM.
 */
FSRV_PUBLIC int fsrv_request_set_program(struct fsrv_request *request, const char *program);

/* All copy. A NULL-terminated list each; argv must not be empty (-EINVAL); environment NULL: the caller's at the
 * spawn. */
FSRV_PUBLIC int fsrv_request_set_argv(struct fsrv_request *request, const char *const *argv);
FSRV_PUBLIC int fsrv_request_set_environment(struct fsrv_request *request, const char *const *environment);

/* Relative to the caller's working directory at the spawn; NULL: that directory itself. Applied before fd actions. */
FSRV_PUBLIC int fsrv_request_set_directory(struct fsrv_request *request, const char *path);
FSRV_PUBLIC int fsrv_request_set_umask(struct fsrv_request *request, mode_t mask);

/* `mask`: the child's signal mask; `ignored`: the signals that it ignores, all others are at their default.
 * NULL: the spawning thread's mask; what the caller's process ignores. */
FSRV_PUBLIC int fsrv_request_set_signal_mask(struct fsrv_request *request, const sigset_t *mask);
FSRV_PUBLIC int fsrv_request_set_signals_ignored(struct fsrv_request *request, const sigset_t *ignored);

/*
 * pgid 0: a new group of its own; else a group of the server's session (-EPERM of setpgid(2), stage GROUP, else). If
 * not called the child joins the caller's group where it can, and leads a group of its own where the caller is in
 * another session than the server.
 */
FSRV_PUBLIC int fsrv_request_set_process_group(struct fsrv_request *request, pid_t pgid);
/* A new session. -EINVAL at the spawn if a process group was set as well. */
FSRV_PUBLIC int fsrv_request_set_session(struct fsrv_request *request);

/*
 * File actions, carried out in the order of the calls, as posix_spawn_file_actions_*(3). For dup2 `fd` is the child's
 * if an earlier action (or the default standard streams) made it, else the caller's, which has to be open at the spawn.
 * An fd number that is mapped twice without a close between is -EINVAL (0, 1 and 2 can be mapped once over the
 * default). Errors: -EBADF (a negative number), -EINVAL (mapped twice), -ENOMEM, -E2BIG (over 65,536 actions).
 */
FSRV_PUBLIC int fsrv_request_add_dup2(struct fsrv_request *request, int fd, int child_fd);
/* The caller's fd under its own number, for what a program hands on as it was given it: make's jobserver, a lock, a
 * shell's `exec 3>log`. As fsrv_request_add_dup2(request, fd, fd), but a number that a preloaded module uses stays the
 * module's in an entry point's process, where dup2 would be -EBUSY. */
FSRV_PUBLIC int fsrv_request_add_inherited(struct fsrv_request *request, int fd);
FSRV_PUBLIC int fsrv_request_add_open(struct fsrv_request *request, int child_fd, const char *path, int flags,
                                      mode_t mode);
FSRV_PUBLIC int fsrv_request_add_close(struct fsrv_request *request, int child_fd);

/* Hands the caller's fd to an entry point without choosing its number there: fsrv_worker_get_fds() lists them in order.
 * A program gets none of them. */
FSRV_PUBLIC int fsrv_request_add_fd(struct fsrv_request *request, int fd);

/* As if no file action and no fd had been added: for the next spawn from a request that is otherwise the same. */
FSRV_PUBLIC void fsrv_request_clear_actions(struct fsrv_request *request);

/* Bytes of any kind for the entry point (fsrv_worker_get_payload()), which are there when it starts: no pipe to fill or
 * to drain. As many as memory has room for once more, while the process lives (else the spawn fails: -ENOMEM, -ENOSPC).
 * Borrowed: they have to stay as they are until the spawns have returned. n 0: none. A program gets nothing of it.
 * Errors: -EINVAL (NULL), -E2BIG (over 64 TiB). */
FSRV_PUBLIC int fsrv_request_set_payload(struct fsrv_request *request, const void *bytes, size_t n);

/* How long a spawn may take in all, preloading included; -1 for ever, default 120,000. */
FSRV_PUBLIC int fsrv_request_set_spawn_timeout(struct fsrv_request *request, int timeout_ms);
/*
 * A limit to the process's life (wall clock), in milliseconds; 0: none. At the limit it gets SIGTERM (and SIGCONT), and
 * SIGKILL when the grace is over as well; with a grace of 0 SIGKILL at once. The status has FSRV_STATUS_TIMED_OUT. A
 * process that leads a process group (fsrv_request_set_process_group(), fsrv_request_set_session()) is ended with all
 * of the group, whose members have all of the grace, though the leader may end before (not before Linux 6.9: there they
 * end with it). Of one that leads none the descendants in its group get the same signals while it lives, as far as
 * /proc lists them. What has left the group, by setsid(2) say, is not reached. The server keeps the limit, so it holds
 * while the client is stopped or gone; it ends with the server.
 */
FSRV_PUBLIC int fsrv_request_set_time_limit(struct fsrv_request *request, uint64_t limit_ms, uint64_t grace_ms);

/* SIGKILL when the last reference to the fsrv_process is gone, or its client is (with all its children that fork(3) has
 * given a copy of the handle; not if the server has died before): to the process, and to the process
 * group that it leads or its descendants, as at a time limit. A process that has ended by then leaves its group alone.
 */
#define FSRV_SPAWN_KILL_ON_CLOSE 1u
/* fsrv_process_wait() tells of stops and continuations, too */
#define FSRV_SPAWN_TELL_STOPS 2u
/* When the entry point returns or calls exit(3), the exit functions that were registered before it began don't run:
 * those of preloaded modules, static C++ objects' destructors among them, which write to the shared memory. What the
 * process itself registered runs, and stdio is flushed. Nothing for a program */
#define FSRV_SPAWN_QUICK_EXIT 4u
/* FSRV_SPAWN_…; -EINVAL: another bit */
FSRV_PUBLIC int fsrv_request_set_flags(struct fsrv_request *request, uint32_t flags);

/* ---- Processes --------------------------------------------------------------------------------------------------- */

struct fsrv_process;

/*
 * Creates the process. When it returns 0 the process exists and, for a program, execve(2) succeeded. After a failure
 * nothing of the request has run, nor ever will; every failure has a stage.
 *
 * Errors, besides those of fsrv_server_ensure_running(): -ETIMEDOUT (stage QUEUE: nobody took it within the spawn
 * time-out), -EINTR (fsrv_server_set_interrupt()), -EAGAIN (stages FORK, LIMIT), -EBADF (an fd that isn't open),
 * -ETOOMANYREFS (too many fds in flight, for all of the time-out), -EMFILE, -ENOMEM; stage EXEC, DIRECTORY, OPEN: the
 * errno of that call in the child; stage ENTRY: -ENOENT (no such module or function), -ELIBBAD, -EIO (cannot be loaded,
 * or ended the process while it was being loaded; text says why), -ETIMEDOUT (it was still loading when a limit ended).
 * Of a module that isn't preloaded the constructors have run then, once.
 */
FSRV_PUBLIC int fsrv_spawn(struct fsrv_server *server, const struct fsrv_request *request,
                           struct fsrv_process **ret_process, struct fsrv_error *error);

#define FSRV_PIPE_STDIN  1u
#define FSRV_PIPE_STDOUT 2u
#define FSRV_PIPE_STDERR 4u
/*
 * The same with new pipes for the chosen standard streams (over what the request maps there): ret_fds[0] is the end
 * that writes the child's standard input, ret_fds[1] and [2] those that read its output and error; -1 where not chosen.
 */
FSRV_PUBLIC int fsrv_spawn_pipes(struct fsrv_server *server, const struct fsrv_request *request, uint32_t which,
                                 int ret_fds[3], struct fsrv_process **ret_process, struct fsrv_error *error);

/*
 * The same for event loops, in steps that wait for nothing:
 *
 *     fsrv_spawn_start(server, request, &spawn, &error);
 *     when fsrv_spawn_get_poll_fd(spawn) is readable:
 *             r = fsrv_spawn_finish(spawn, &process, &error);   1: not yet; else it is done with
 *
 * All that fsrv_spawn() waits for is in that one fd: the server's start, the modules, room in the queue, the answer,
 * and the spawn time-out, after which fsrv_spawn_finish() says -ETIMEDOUT. What takes time of its own is the start of a
 * private server's program, as long as posix_spawn(3) takes for one: in the call that finds no server running, once
 * (fsrv_server_ensure_running() has it over before). Any number may be on their way, with up to five fds each until
 * it is finished (RLIMIT_NOFILE); a handle is for one thread at a time, and for the process that made it (a forked
 * child leaves it alone). Who may interrupt calls isn't asked.
 *
 * The request, its payload and the fds that it names have to stay as they are until it is done with.
 */
struct fsrv_spawn_handle;

/* Errors: of fsrv_spawn(), those that show at once. */
FSRV_PUBLIC int fsrv_spawn_start(struct fsrv_server *server, const struct fsrv_request *request,
                                 struct fsrv_spawn_handle **ret_spawn, struct fsrv_error *error);
/* Borrowed; readable (POLLIN) when fsrv_spawn_finish() has something to do. */
FSRV_PUBLIC int fsrv_spawn_get_poll_fd(const struct fsrv_spawn_handle *spawn);
/* 1: not yet. 0: here is the process; or an error of fsrv_spawn(). With those the handle is freed. */
FSRV_PUBLIC int fsrv_spawn_finish(struct fsrv_spawn_handle *spawn, struct fsrv_process **ret_process,
                                  struct fsrv_error *error);
/* Instead of finishing it; frees the handle. 0: nothing of the request has run, nor ever will; 1: it had started, and
 * has been killed. */
FSRV_PUBLIC int fsrv_spawn_cancel(struct fsrv_spawn_handle *spawn);

FSRV_PUBLIC pid_t fsrv_process_get_pid(const struct fsrv_process *process);
/* Borrowed; valid as long as the process object. -ENOSYS where the kernel has none (or a sandbox hides it). */
FSRV_PUBLIC int fsrv_process_get_pidfd(const struct fsrv_process *process);
/*
 * One fd for any event loop, readable (POLLIN) when fsrv_process_wait(…, 0, …) has something to do: the status, or a
 * step towards it, after which it returns -ETIMEDOUT and the loop goes on. Borrowed. -EMFILE, -ENOMEM: it is made when
 * first asked for.
 */
FSRV_PUBLIC int fsrv_process_get_poll_fd(struct fsrv_process *process);

#define FSRV_STATUS_CORE_DUMPED 1u
#define FSRV_STATUS_TIMED_OUT   2u  /* its time limit has ended it, or made it end */
#define FSRV_STATUS_NO_RUSAGE   4u  /* read from the pidfd, the server being gone: rusage is zero */
#define FSRV_STATUS_STOPPED     8u  /* it lives, but `signal` has stopped it */
#define FSRV_STATUS_CONTINUED   16u /* it lives, and goes on */

struct fsrv_status {
        size_t size;
        pid_t pid;
        int exit_code;  /* 0…255 if it exited, else -1 */
        int signal;     /* the signal that ended it, else 0 */
        uint32_t flags; /* FSRV_STATUS_… */
        /* of the process, since it was forked ahead of time, and the children that it waited for, as wait4(2) */
        struct rusage rusage;
};

/*
 * Waits for the process to end: 0. May be called again, and by several threads; the status stays. Set ret_status->size.
 * ret_status may be NULL. 1, of a process that was spawned with FSRV_SPAWN_TELL_STOPS: it was stopped or has gone on,
 * which the status tells, once; exit_code is -1, and there is no rusage. (A change that comes while the server is busy
 * may be told together with a later one, as the last of both; none is told when the server is gone.)
 * Errors: -ETIMEDOUT (still alive), -EOWNERDEAD, stage STATUS: the process has ended, but the server died before it
 * could tell and this kernel (before 6.15) keeps no exit status for who isn't the parent: *status lost*, never an
 * invented one. (The same where STARTED arrived in the very moment in which the spawn time-out fired.)
 */
FSRV_PUBLIC int fsrv_process_wait(struct fsrv_process *process, int timeout_ms, struct fsrv_status *ret_status,
                                  struct fsrv_error *error);

/*
 * Creates the process and waits for its end: fsrv_spawn() and fsrv_process_wait() in one, without a handle, and without
 * being woken for the start. Nobody can end it early but its time limit (fsrv_request_set_time_limit()) and who knows
 * its pid. Set ret_status->size; ret_status may be NULL. Any number of threads at once. Errors: those of both. Only a
 * failure of stage STATUS (-EOWNERDEAD) means that something has run.
 */
FSRV_PUBLIC int fsrv_run(struct fsrv_server *server, const struct fsrv_request *request, struct fsrv_status *ret_status,
                         struct fsrv_error *error);

/* One of the two outputs. */
struct fsrv_output {
        size_t limit;     /* at most so many bytes are kept, and the rest is read and dropped; 0: all are */
        char *bytes;      /* what was kept, and a NUL behind it, which doesn't count; NULL while nothing was read */
        size_t size;      /* how many were kept */
        uint64_t dropped; /* how many were not */
        size_t room;      /* the library's own */
};

struct fsrv_communication {
        size_t size;
        const void *input; /* for its standard input, which ends then; borrowed */
        size_t input_size;
        size_t input_taken; /* how many bytes of it have gone into the pipe: who reads no more is no failure */
        struct fsrv_output output, error;
        struct fsrv_status status; /* when 0 was returned */
        uint64_t reserved[4];
};

/*
 * Gives a process its input, takes both outputs, and waits for its end: what everybody writes with poll(2) around
 * fsrv_spawn_pipes(), whose `fds` it gets; without its deadlocks, and without SIGPIPE. Each fd is closed, and -1, when
 * it is done with; -1 from the beginning is a stream without a pipe. Zero the struct, and set its size.
 *
 * It waits until the outputs have ended, in every process that has them: as with a shell's $(…), a process which was
 * left in the background with them is waited for. After the time-out, -ETIMEDOUT, the call may be made again with the
 * same arguments, as before or after fsrv_process_kill(): nothing that came is lost, nothing is sent twice. Then, and
 * after other failures, `fds` that are not -1 are still the caller's. fsrv_communication_free() gives the outputs back.
 *
 * Errors: -ETIMEDOUT, -ENOMEM, those of fsrv_process_wait(), and of read(2) and write(2) but for -EPIPE.
 */
FSRV_PUBLIC int fsrv_communicate(struct fsrv_process *process, int fds[3], struct fsrv_communication *communication,
                                 int timeout_ms, struct fsrv_error *error);
FSRV_PUBLIC void fsrv_communication_free(struct fsrv_communication *communication);

/* Sends a signal, by pidfd: never to another process that got the same pid. -ESRCH when it has ended, -EINVAL,
 * -EPERM. */
FSRV_PUBLIC int fsrv_process_kill(struct fsrv_process *process, int signal);
/* The same to all of the process group that it leads; to it alone if it leads none. Before its end is known, as there:
 * what a process left behind that has ended is -ESRCH. */
FSRV_PUBLIC int fsrv_process_kill_group(struct fsrv_process *process, int signal);

/* References: a new process has one. unref takes NULL and returns NULL; the last one closes the handle: the process
 * lives on, unless it was spawned with FSRV_SPAWN_KILL_ON_CLOSE. */
FSRV_PUBLIC struct fsrv_process *fsrv_process_ref(struct fsrv_process *process);
FSRV_PUBLIC struct fsrv_process *fsrv_process_unref(struct fsrv_process *process);

/*
 * Creates `n` processes of one request, several requests on their way at once. Returns how many there are: less than n
 * if one failed, and then *error says why that one did; nothing of it or of those after it has run. -errno if the first
 * failed. ret_processes[0 … result-1] are set. Errors: as fsrv_spawn(); -EINVAL (n is 0 or above 65,536).
 */
FSRV_PUBLIC int fsrv_spawn_many(struct fsrv_server *server, const struct fsrv_request *request, size_t n,
                                struct fsrv_process **ret_processes, struct fsrv_error *error);

/* ---- In a worker (an entry point, or code that it calls) --------------------------------------------------------- */

/* The fds of fsrv_request_add_fd(), in order; borrowed, close-on-exec. *ret_fds is NULL if there were none.
 * -ENOENT: this process is no worker. */
FSRV_PUBLIC int fsrv_worker_get_fds(const int **ret_fds, size_t *ret_n_fds);
/* The request's payload; borrowed, the worker's own copy. -ENOENT: this process is no worker. */
FSRV_PUBLIC int fsrv_worker_get_payload(const void **ret_bytes, size_t *ret_n);
/* It isn't needed any more: the memory of a large one (over 64 KiB) is given back. -ENOENT: this process is no worker.
 */
FSRV_PUBLIC int fsrv_worker_drop_payload(void);
/* An fd that reads end-of-file (POLLIN|POLLHUP) when the process that asked for this one has ended or freed its server
 * handle. Borrowed. -ENOENT: this process is no worker. */
FSRV_PUBLIC int fsrv_worker_get_lifeline(void);
/* Who asked for this process, as the kernel stamped it on the request. -ENOENT: this process is no worker. */
FSRV_PUBLIC int fsrv_worker_get_client(pid_t *ret_pid, uid_t *ret_uid);

/* ---- A program that is its own zygote ---------------------------------------------------------------------------- */

struct fsrv_entry {
        const char *name;
        int (*function)(int argc, char **argv); /* what it returns is the exit code, by way of exit(3) */
};

/*
 * One call at the top of main, after what the workers shall share (reading a configuration, building tables). A server
 * whose preload list has FSRV_PRELOAD_MAIN starts its zygote as this very program, with the same arguments, standard
 * input from /dev/null and standard output on standard error (see FSRV_SERVER_PRELOAD_OUTPUT); what comes before this
 * call runs there as it did here, and the call doesn't return: the zygote forks, and each worker runs an entry point.
 * In the program that people started it returns 0, and fsrv_request_set_entry(request, ":name") spawns `name`. Entry
 * points are found by this table: nothing has to be exported, and the program may be position-independent or static.
 *
 * argc, argv: main's. entries: ends with an entry whose name is NULL; not copied, like the functions.
 * Before the call the program must not start threads, not become a daemon, not close fd 3, and not spawn from a server
 * with FSRV_PRELOAD_MAIN (-EINVAL there). Fds above 2 do not reach the zygote. In workers signal handlers and ignored
 * signals from before the call are reset; exit handlers from before it run at the end of each worker, as after fork(2),
 * not in the zygote. Errors: -EINVAL (argv or entries NULL, an empty name or a NULL function), -EALREADY (called
 * twice), -ENOMEM; in a zygote only, stage START: -EBADF (fd 3 was closed before the call), -ECHILD (the program forked
 * before it, or the server has died).
 */
FSRV_PUBLIC int fsrv_zygote_enter(int argc, char **argv, const struct fsrv_entry *entries, struct fsrv_error *error);

/* ---- What a module costs, and whether it is safe to fork after it ------------------------------------------------ */

struct fsrv_module_fd {
        int fd;
        const char *kind; /* "file", "socket", "pipe", "epoll", "eventfd", "io_uring", "device", "other" */
        const char *what; /* as /proc/PID/fd has it: "/dev/nvidia0", "anon_inode:[eventpoll]", … */
};

struct fsrv_module_report {
        size_t size;
        const char *module;
        const char *verdict;        /* "safe to fork", "risky: …" or "fails: …": one line */
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
        const char *why;                  /* one line: not all of it is frozen; "": all is */
};

/*
 * Loads the modules as a zygote would, in a zygote that serves nobody, and calls report() for each, in order, as soon
 * as it has been loaded; a module that cannot be loaded, crashes or hangs (options' preload_timeout_ms) is the last one
 * reported. report_mapping(), unless it is NULL, is called when all are loaded: for each mapping, in ascending order
 * (for none with FSRV_MEMORY_OFF). What a report points to is valid during the call. While it runs the zygote is a
 * child of the caller's (SIGCHLD). Used of `options`: preload (without FSRV_PRELOAD_MAIN), timeout, memory, helper
 * directory. Returns the number of modules that could not be loaded: 0 or 1.
 *
 * Errors: -EINVAL, -E2BIG (options), -ENOMEM, -EMFILE; stage START: the zygote program cannot be executed.
 */
FSRV_PUBLIC int fsrv_check_preload(const struct fsrv_server_options *options,
                                   void (*report)(const struct fsrv_module_report *report, void *data),
                                   void (*report_mapping)(const struct fsrv_mapping_report *report, void *data),
                                   void *data, struct fsrv_error *error);

/* ---- Resource tracker -------------------------------------------------------------------------------------------- */

/*
 * A process of its own that knows which named semaphores and shared-memory segments exist, and removes what is left
 * when the last process that could have used them is gone: its end of file. It speaks the lines of CPython's
 * multiprocessing.resource_tracker, so one tracker can serve C and Python. A family has one: each spawn carries its fd
 * on. `server` NULL means the default handle. A name is registered once however often it is told; it is unregistered
 * once.
 */
#define FSRV_RESOURCE_SEMAPHORE     "semaphore"     /* sem_unlink(3) */
#define FSRV_RESOURCE_SHARED_MEMORY "shared_memory" /* shm_unlink(3) */
#define FSRV_RESOURCE_DUMMY         "dummy"         /* nothing is removed, but it is named at the end: for tests */

/*
 * Errors, stage TRACKER: -EINVAL (an unknown type, an empty name), -ENAMETOOLONG (over 255 bytes), -ETIMEDOUT (a
 * tracker that is stopped: its pipe was full for 10 s), -EPIPE (three died in a row), and those of starting it
 * (-ENOENT, -EAGAIN, …). A tracker that was killed is started anew, which says on standard error that what the old one
 * knew may be left behind. Threads and fork: as handles.
 */
FSRV_PUBLIC int fsrv_tracker_register(struct fsrv_server *server, const char *type, const char *name,
                                      struct fsrv_error *error);
FSRV_PUBLIC int fsrv_tracker_unregister(struct fsrv_server *server, const char *type, const char *name,
                                        struct fsrv_error *error);
/* Makes sure that there is a tracker: starts it, or starts it anew. */
FSRV_PUBLIC int fsrv_tracker_probe(struct fsrv_server *server, struct fsrv_error *error);
/* The fd to write lines to, borrowed; for others who speak them (to pass on to a Python child, say). Starts the
 * tracker. */
FSRV_PUBLIC int fsrv_tracker_get_fd(struct fsrv_server *server, struct fsrv_error *error);
/* Uses an existing tracker, whose fd the caller has (CPython's own); copies the fd. Replaces the one in use, which ends
 * with its last other user. -EBADF (not open, or not for writing). */
FSRV_PUBLIC int fsrv_tracker_set_fd(struct fsrv_server *server, int fd, struct fsrv_error *error);

/* ---- The classic calls ------------------------------------------------------------------------------------------- */

/*
 * The calls of CPython's multiprocessing.forkserver, for programs that are built around them: on the default handle,
 * over the same wire. New code has more from fsrv_spawn().
 */

/* As fsrv_server_ensure_running(), and the resource tracker first. */
FSRV_PUBLIC int fsrv_ensure_running(struct fsrv_error *error);

/* `n` modules for the servers to come, checked as they are given: -EINVAL (a NULL or empty name among them; in the
 * original this test looked at the list of before). As fsrv_server_set_preload() with the policy *warn*. */
FSRV_PUBLIC int fsrv_set_preload(const char *const *modules, size_t n, struct fsrv_error *error);

/* What fsrv_connect_to_new_process() runs: "module:function", or ":name" (fsrv_zygote_enter()). Its argv[0] is that. */
FSRV_PUBLIC int fsrv_set_entry(const char *entry, struct fsrv_error *error);

/*
 * Creates a process. It has copies of the caller's `fds`, any number of them (fsrv_get_inherited_fds()), a data fd that
 * reads what is written to *ret_data_w (fsrv_worker_get_data()), and a sentinel that reads end-of-file when the caller
 * has ended (fsrv_worker_get_lifeline()). *ret_status_r yields two native signed 64-bit words by plain read(2): the
 * pid, there when the call returns, and when the process has ended its exit code, or minus the signal that killed it.
 * Both fds are the caller's. The fork server writes the words; closing the status fd early does nobody harm.
 * End-of-file instead of the second word: the status was lost with the server, and the process may still live; none is
 * ever invented. Writing to a process that doesn't read blocks when the pipe is full (64 KiB), and gives EPIPE once it
 * has ended.
 *
 * Errors: as fsrv_spawn(); -EINVAL (no entry point was set, fds NULL). On failure nothing is open that wasn't before.
 */
FSRV_PUBLIC int fsrv_connect_to_new_process(const int *fds, size_t n, int *ret_status_r, int *ret_data_w,
                                            struct fsrv_error *error);
/* The same on another handle than the default one. */
FSRV_PUBLIC int fsrv_server_connect_to_new_process(struct fsrv_server *server, const char *entry, const int *fds,
                                                   size_t n, int *ret_status_r, int *ret_data_w,
                                                   struct fsrv_error *error);

/* In a process made by a fork server: the caller's fds, in order, borrowed; an empty list is *ret_n == 0. -ENOENT in
 * any other process. */
FSRV_PUBLIC int fsrv_get_inherited_fds(const int **ret_fds, size_t *ret_n);
/* The fd of fsrv_connect_to_new_process()'s data, borrowed. -ENOENT: this process was not made by that call. */
FSRV_PUBLIC int fsrv_worker_get_data(void);

/* As fsrv_server_stop(). The next call that needs a server starts one. */
FSRV_PUBLIC int fsrv_stop(int timeout_ms, struct fsrv_error *error);

/* One native signed 64-bit word, all of it, from and to an fd that blocks. read: -ENODATA at end-of-file, -EPROTO when
 * it ends within the word; else the errno of read(2), write(2) (and SIGPIPE, as there). */
FSRV_PUBLIC int fsrv_read_signed(int fd, int64_t *ret_value);
FSRV_PUBLIC int fsrv_write_signed(int fd, int64_t value);

#ifdef __cplusplus
}
#endif

#endif
