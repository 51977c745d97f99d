/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WORKER_LOCK_H
#define FSRV_WORKER_LOCK_H

/* A process locks itself in. Namespaces, mounts, filters, landlock domains, limits and no_new_privs are inherited over
 * fork(2). So a zygote that does this once gives locked workers for nothing. */

#include <stdbool.h>

#include "forkserver.h"
#include "wire/sandbox.h"

struct fsrv__lock {
        int listener; /* of the filter: the server hears of refused calls by it; -1: there is none */
        int scopes;   /* a ruleset with scopes alone, for a layer of each process's own; -1: there is none */
};

/* Does all that the sandbox says, in the order that doc/attributes.md gives reasons for. Call it with one thread. With
 * `listens` the filter has a listener, and refused calls wait for its answer; without it they fail by themselves.
 * 0; -errno and *error, stage FSRV_STAGE_SANDBOX, which names the step and its object: then some of it may have been
 * done, and the process should end. */
int fsrv__lock_in(const struct fsrv__sandbox_parts *sandbox, bool listens, struct fsrv__lock *ret_lock,
                  struct fsrv_error *error);

/* In each process that a locked zygote forks, before it takes a request: a landlock layer of its own, else siblings of
 * one domain could trace each other, read each other's memory and take each other's fds. 0 or -errno. */
int fsrv__lock_apart(const struct fsrv__lock *lock);

#endif
