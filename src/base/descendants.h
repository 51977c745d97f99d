/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_DESCENDANTS_H
#define FSRV_BASE_DESCENDANTS_H

#include <sys/types.h>

/* Sends a signal to a process that leads no group, by pidfd, and to its descendants that are still in its group. None
 * escapes SIGKILL. 0; -ESRCH: the process has ended; -EPERM. Only the process gets the signal where memory, /proc or
 * its lists of children (CONFIG_PROC_CHILDREN) are missing. */
int fsrv__descendants_signal(pid_t pid, int pidfd, int signal);

#endif
