/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_HOST_H
#define FORKSERVER_HOST_H

/* Use this to put a zygote into another runtime. For everything else, forkserver.h is enough. */

#include <stdbool.h>

#include "forkserver.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A zygote finds the socket to its server at this fd. */
#define FSRV_ZYGOTE_BOOT_FD 3
/* A zygote finds the zygote_data of struct fsrv_server_options, a memfd, at this fd, if there are any. */
#define FSRV_ZYGOTE_DATA_FD 4

/*
 * What a zygote of one kind (shared objects, a Python interpreter) does for the general zygote, which knows nothing of
 * languages. All functions run in the process's one thread, in the order of this struct. NULL: there is nothing to do.
 * preload, find and run have to be there.
 */
struct fsrv_host {
        /* In the zygote, for each module of the preload list: loads it. Returns 0, or -errno and sets error->err and
         * error->text (stage PRELOAD). */
        int (*preload)(const char *module, struct fsrv_error *error);
        /* Says whether a module of the preload list may show in the processes, or take long to load. Such a module is
         * loaded last, in a child of the zygote (the heir), and the zygote serves without it meanwhile. The heir takes
         * the zygote's place if `preload` returned 0 and left no thread. Otherwise each process has to load the module
         * by itself; struct fsrv_stats says why (err 0: nothing is wrong with the module). NULL: no module is tried. */
        bool (*is_tried)(const char *module);
        /* In the zygote, once all modules are there: the last chance to touch memory that workers share. */
        void (*loaded)(void);
        /* Around each fork, as pthread_atfork(3)'s handlers, for runtimes that do not use those. Where the zygote has
         * to fork twice, the process in between runs none of them. */
        void (*before_fork)(void);
        void (*after_fork_zygote)(void);
        void (*after_fork_child)(void);
        /* In a child of the zygote that is thrown away: does all that every worker does, from after_fork_child to the
         * end of run(), as far as that is possible without a request. The pages that it writes to are noted, and each
         * standby copies them ahead. */
        void (*rehearse)(void);
        /* In a standby, before it waits for a request: does what can be done ahead, while no client waits. */
        void (*warm_up)(void);
        /* In the worker, before find: says whether find will load something, and so run code that was not there when
         * the zygote was prepared. The socket to the server is closed first, then, and the client alone is told of a
         * failure of find. NULL: it never does. */
        bool (*loads)(const char *entry);
        /* In the worker, before the client is told that it started: finds the entry point. Returns 0, or -errno and
         * sets error->err and error->text (stage ENTRY). */
        int (*find)(const char *entry, struct fsrv_error *error);
        /* In the worker: runs what `find` found. The result is for exit(3). */
        int (*run)(int argc, char **argv, char **environment);
};

/*
 * Turns the calling process, which a server started, into a zygote. In a worker it doesn't return. In the zygote it
 * returns the exit code, to be given to _exit(2), when the server has gone or something failed. It returns 0 when a
 * child of this process is the zygote now (is_tried), and 125 if no server started this process.
 */
FSRV_PUBLIC int fsrv_zygote_serve(const struct fsrv_host *host);

/* While a module is tried (is_tried): ends the process that tries it at once, as if preload() had failed and said
 * `why`. In any other process it does nothing. */
FSRV_PUBLIC void fsrv_zygote_leave_out(const char *why);

/* In a worker, for the host's run(): returns the signals that its client ignores, and that the worker therefore ignores
 * unless something has changed them since. Bit n-1 is signal n. */
FSRV_PUBLIC uint64_t fsrv_worker_signals_ignored(void);

/* In a worker, for a host whose run() ends by _exit(code): sends what the process gives back, as an exit function does.
 * The bytes of fsrv_worker_result_buffer() are not to be used any more. It does nothing where no result is wanted. */
FSRV_PUBLIC void fsrv_worker_send_result(int code);

/* Is the whole of the program forkserver-zygote: a zygote for shared objects. Call it first thing in main; what it
 * returns is main's exit code. In a worker it doesn't return: exit(3) runs there. */
FSRV_PUBLIC int fsrv_zygote_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
