/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WORKER_LOCK_H
#define FSRV_WORKER_LOCK_H

/* A process locks itself in. Namespaces, mounts, filters, landlock domains, limits and no_new_privs are inherited over
 * fork(2). So a zygote that does this once gives locked workers for nothing. */

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "forkserver.h"
#include "wire/sandbox_codec.h"
#include "worker/filter.h"

/* What a locked zygote has for the processes that it forks. */
struct fsrv__lock {
        int listener; /* of the filter: the server hears of refused calls by it; -1: there is none */
        int apart;    /* a landlock ruleset, for a layer of each process's own; -1: there is none */
        /* The mounts are others than the client's. A directory that a request brings along lies outside of them, and
         * must not become a worker's: enter the one of its name instead. */
        bool has_mounts;
        bool drops_capabilities;
        uint32_t limits; /* bit n: limit[n] is to be set */
        uint64_t limit[FSRV_SANDBOX_LIMITS];
        int n_late;   /* instructions */
        int late_pid; /* in this one of them the process's pid belongs; -1 */
        struct sock_filter late[FSRV_FILTER_LATE_ROOM];
};

/* Does all that the sandbox says, in the order that doc/sandbox.md gives reasons for. Call it with one thread. With
 * `listens` the filter has a listener, and refused calls wait for its answer; without it they fail by themselves.
 * 0; -errno and *error, stage FSRV_STAGE_SANDBOX, which names the step and its object: then some of it may have been
 * done, and the process should end. */
int fsrv__lock_in(const struct fsrv__sandbox_parts *sandbox, bool listens, struct fsrv__lock *ret_lock,
                  struct fsrv_error *error);

/* In each process that a locked zygote forks, before it takes a request: a landlock layer of its own, else siblings of
 * one domain could trace each other, read each other's memory and take each other's fds. And limits and refusals that
 * must not hold for the zygote. Allocates nothing. 0 or -errno: then the process must not run anything. */
int fsrv__lock_apart(const struct fsrv__lock *lock);

/* In a worker, when its ids are what they are to be, and before code of the user's runs: drops the rest of the
 * capabilities. Safe on loaned memory. 0 or -errno, as above. */
int fsrv__lock_finish(const struct fsrv__lock *lock);

#endif
