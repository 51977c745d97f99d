/* SPDX-License-Identifier: MIT */
#ifndef BENCH_JAILS_H
#define BENCH_JAILS_H

/* What loops.c does with sandboxes, and the programs that they are measured against. */

#include <sys/types.h>

struct fsrv_sandbox;

/* Sealed. Each number is another sandbox, so a server has a zygote of its own for it. */
struct fsrv_sandbox *make_sandbox(const char *profile, int number);

/* Starts /bin/true in a jail ("bwrap", "minijail0", "firejail"), about as locked in as "untrusted" is: nothing of the
 * network, the system's files for reading, no privileges. -1: there is no such jail. */
pid_t start_jail(const char *name);

#endif
