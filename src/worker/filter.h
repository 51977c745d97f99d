/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WORKER_FILTER_H
#define FSRV_WORKER_FILTER_H

/* Filters of system calls (seccomp), made from the table of calls (base/syscalls.h). They are inherited over fork and
 * exec, and nothing takes them away. */

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/sandbox_codec.h"

enum { FSRV_FILTER_ROOM = 2048, FSRV_FILTER_LATE_ROOM = 40 }; /* instructions that a filter of ours has at most */

/* Writes the filter of a sandbox. With `listens` refused calls wait for the listener's answer. The number of
 * instructions; 0: there is nothing to refuse; -EOPNOTSUPP: this architecture is unknown. */
int fsrv__filter_write(const struct fsrv__sandbox_parts *sandbox, bool listens,
                       struct sock_filter filter[FSRV_FILTER_ROOM]);
/* The same for what a zygote forks: of calls that itself needs (FSRV_REFUSE_FORK), and of signals. The value of
 * instruction *ret_pid is to be the process's pid; -1: there is none. */
int fsrv__filter_write_late(const struct fsrv__sandbox_parts *sandbox, struct sock_filter filter[FSRV_FILTER_LATE_ROOM],
                            int *ret_pid);

/* The groups that a sandbox refuses here: with what others of them imply, and FSRV_REFUSE_SIGNALS where landlock leaves
 * that to the filter. */
uint32_t fsrv__filter_groups(const struct fsrv__sandbox_parts *sandbox);
/* The group that a call is of, by itself or by an argument; 0: of none. */
uint32_t fsrv__filter_group(int number);

/* Needs no_new_privs. 0, or -errno; with `listens` the listener, or -EBUSY: an outer filter has one already. */
int fsrv__filter_install(const struct sock_filter *filter, size_t n, bool listens);

#endif
