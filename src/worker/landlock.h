/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WORKER_LANDLOCK_H
#define FSRV_WORKER_LANDLOCK_H

/* Landlock: which files and TCP ports are open, and that other processes cannot be reached. */

#include "forkserver.h"
#include "wire/sandbox_codec.h"

/* Locks this process into a domain as the sandbox says, as far as the kernel can. Needs no_new_privs. 0; -errno and
 * *error, which names the path. */
int fsrv__landlock_enter(const struct fsrv__sandbox_parts *sandbox, struct fsrv_error *error);

/* A ruleset for a domain that has nothing to itself but being one: its processes cannot trace those outside of it, read
 * their memory or take their fds, nor, with FSRV_LOCK_SCOPES and where the kernel can tell (ABI 6), send them signals.
 * The fd; -ENOSYS: there is no landlock; another -errno. */
int fsrv__landlock_apart(const struct fsrv__sandbox_parts *sandbox);
int fsrv__landlock_restrict(int ruleset);

#endif
