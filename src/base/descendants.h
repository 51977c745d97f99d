/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_DESCENDANTS_H
#define FSRV_BASE_DESCENDANTS_H

#include <sys/types.h>

/* A signal to a process that leads no group, by pidfd, and to what it has started, as far as that is in the process's
 * group still. Of SIGKILL none escapes. -ESRCH when it has ended, -EPERM. Without /proc, its lists of children
 * (CONFIG_PROC_CHILDREN) or memory it is the process alone. */
int fsrv__descendants_signal(pid_t pid, int pidfd, int signal);

#endif
