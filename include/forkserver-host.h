/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_HOST_H
#define FORKSERVER_HOST_H

/* For who puts a zygote into another runtime. Everybody else: forkserver.h. */

#include <stdbool.h>

#include "forkserver.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The fd on which a zygote finds the socket to its server. */
#define FSRV_ZYGOTE_BOOT_FD 3
/* The fd on which it finds the zygote_data of struct fsrv_server_options, a memfd, if there are any. */
#define FSRV_ZYGOTE_DATA_FD 4

/*
 * What a zygote of one kind (shared objects, a Python interpreter) does for the general one, which knows nothing of
 * languages. All run in its one thread, in the order of this struct. NULL: nothing to do (preload, find and run have to
 * be there).
 */
struct fsrv_host {
        /* In the zygote, for each module of the preload list. 0, or -errno and error->err, error->text (stage
         * PRELOAD). */
        int (*preload)(const char *module, struct fsrv_error *error);
        /* Whether a module of the preload list may show in the processes, or take long to load. It is loaded last, in a
         * child of the zygote that takes its place if `preload` returned 0 and no thread was left there. Else each
         * process has to load it by itself (err 0: nothing is wrong with the module); why, struct fsrv_stats has. The
         * zygote serves without it meanwhile. NULL: none is. */
        bool (*is_tried)(const char *module);
        /* In the zygote, once all modules are there: the last chance to touch memory that workers share. */
        void (*loaded)(void);
        /* Around each fork, as pthread_atfork(3)'s, for runtimes that do not use that. With the other way of forking
         * (twice) the process in between runs none of them. */
        void (*before_fork)(void);
        void (*after_fork_zygote)(void);
        void (*after_fork_child)(void);
        /* In a child of the zygote that is thrown away: all that every worker does, from after_fork_child on to the end
         * of run(), as far as it can be done without a request. Which pages it writes to is noted, and each standby has
         * them copied ahead. */
        void (*rehearse)(void);
        /* In a standby, before it waits for a request: what can be done ahead, off the client's way. */
        void (*warm_up)(void);
        /* In the worker, before find: whether find will load something, and so run code that nobody has seen yet. The
         * socket to the server is closed first, then; a failure of find's is told to the client alone. NULL: it never
         * does. */
        bool (*loads)(const char *entry);
        /* In the worker, before the client is told that it started. 0, or -errno and error->err, error->text (stage
         * ENTRY). */
        int (*find)(const char *entry, struct fsrv_error *error);
        /* In the worker: runs what `find` found; the result is for exit(3). */
        int (*run)(int argc, char **argv, char **environment);
};

/*
 * Turns the calling process, which a server started, into a zygote. Returns when the server has gone or something
 * failed, or, 0, when a child of it is the zygote now (is_tried): the exit code, to be given to _exit(2). In a worker
 * it doesn't return. 125 if no server started this process.
 */
FSRV_PUBLIC int fsrv_zygote_serve(const struct fsrv_host *host);

/* While a module is tried (is_tried): at once the end of the process that does, as after a preload() that said `why`.
 * In any other process it does nothing. */
FSRV_PUBLIC void fsrv_zygote_leave_out(const char *why);

/* In a worker, for the host's run(): the signals that its client ignores, and so the worker, but for what has been done
 * to them since. Bit n-1 is signal n. */
FSRV_PUBLIC uint64_t fsrv_worker_signals_ignored(void);

/* The whole of the program forkserver-zygote: a zygote for shared objects. Call it first thing in main; what it returns
 * is main's exit code. In a worker it doesn't return: exit(3) runs there. */
FSRV_PUBLIC int fsrv_zygote_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
