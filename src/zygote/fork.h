/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_FORK_H
#define FSRV_ZYGOTE_FORK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire/config.h"

/* Before anything is preloaded: our pthread_atfork handlers have to be the first registered, so that our *prepare* runs
 * last of all. Finds out, by a helper, which way of forking works here. 0 or -errno. */
int fsrv__fork_init(void);
/* True if children are made by forking twice: then the server has to be the reaper of orphans. */
bool fsrv__fork_is_twice(void);

/*
 * Forks a child whose parent is the server, by the C library's fork(), so that atfork handlers run. Returns the pid in
 * the zygote, 0 in the child, or -errno. When forking twice, the process between the two sends the pid on `orders`, and
 * this returns FSRV_FORK_TOLD; that process may take as long as loading. The child dies with the server.
 */
enum { FSRV_FORK_TOLD = 0x7fffffff };
pid_t fsrv__fork_sibling(int orders, const struct fsrv__wire_config *config);

/* The same, for a child that loads a module. When forking twice, nobody sends its pid: the child has to do so. */
pid_t fsrv__fork_heir(const struct fsrv__wire_config *config);

/* The same, for a child that becomes a zygote beside this one. */
pid_t fsrv__fork_zygote(const struct fsrv__wire_config *config);

/* Forks a child of the zygote's own, for a moment, as fork(2) does. It dies with the zygote, even while a module's fork
 * handler hangs in it. */
pid_t fsrv__fork_helper(void);
/* Waits for its end: 0, -ETIMEDOUT when it had to be killed, or another -errno. *ret_status is waitpid(2)'s, or 0. */
int fsrv__fork_await(pid_t pid, int64_t limit_ms, int *ret_status);

#endif
