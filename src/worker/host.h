/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WORKER_HOST_H
#define FSRV_WORKER_HOST_H

/* What a zygote of one kind (shared objects; later Python) does for the general one, which knows nothing of languages. */

#include "forkserver.h"

struct fsrv_host {
        /* In the zygote. 0, or -errno with error->text saying why (stage PRELOAD). */
        int (*preload)(const char *module, struct fsrv_error *error);
        /* In a standby, before it waits for a request: what can be done ahead, off the client's way. */
        void (*warm_up)(void);
        /* In the worker, before the client is told that it started. 0, or -errno and *error (stage ENTRY). */
        int (*find)(const char *entry, struct fsrv_error *error);
        /* In the worker: runs what `find` found; the result is for exit(3). */
        int (*run)(int argc, char **argv, char **environment);
};

#endif
