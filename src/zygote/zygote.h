/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_ZYGOTE_H
#define FSRV_ZYGOTE_ZYGOTE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "worker/worker.h"

/* fork.c */

/* Before anything is preloaded: our pthread_atfork handlers have to be the first registered, so that our *prepare* runs
 * last of all. Finds out which way of forking works here, by a helper. 0 or -errno. */
int fsrv__fork_init(void);
/* True if children are made by forking twice: the server has to be the reaper of orphans then. */
bool fsrv__fork_is_twice(void);

/*
 * A child whose parent is the server, by the C library's fork(), so that atfork handlers run. The pid in the zygote, 0
 * in the child, -errno. When forking twice the pid is told by the middle process itself, on `orders`, and 0x7fffffff
 * returned; that process may take as long as loading. The child dies with the server.
 */
enum { FSRV_FORK_TOLD = 0x7fffffff };
pid_t fsrv__fork_sibling(int orders, const struct fsrv__wire_config *config);

/* The same, for a child in which modules are loaded; when forking twice, nobody tells of it: it has to do so itself. */
pid_t fsrv__fork_heir(const struct fsrv__wire_config *config);

/* A child of the zygote's own, for a moment, as by fork(2). It dies with the zygote, even while a module's fork handler
 * hangs in it. */
pid_t fsrv__fork_helper(void);
/* Its end; 0, -ETIMEDOUT when it had to be killed, or another -errno. *ret_status as waitpid(2)'s, or 0. */
int fsrv__fork_await(pid_t pid, int64_t limit_ms, int *ret_status);

/* program.c: the entry points of a program that is its own zygote. */

/* Whether this process is one: it has called fsrv_zygote_enter(). */
bool fsrv__program_is_host(void);
/* 0, or -ENOENT with *error (stage ENTRY). */
int fsrv__program_find(const char *name, const struct fsrv_entry **ret_entry, struct fsrv_error *error);

/* module.c */
extern const struct fsrv_host fsrv__module_host;

/* zygote.c: receives its orders on `boot` and obeys until the server is gone. Returns on failure only: an exit code. */
int fsrv__zygote_run(int boot, const struct fsrv_host *host);
/* patience.c: how long the server waits for all modules, from now; and how many ms a helper may take while they are
 * loaded: half of what is left of that. */
void fsrv__zygote_set_limit(int64_t limit_ms);
int64_t fsrv__zygote_patience(void);

#endif
