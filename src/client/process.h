/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_PROCESS_H
#define FSRV_CLIENT_PROCESS_H

#include "forkserver.h"
#include "wire/protocol.h"

/* Makes the handle of a process that has started. Takes both fds over, on failure too; pidfd may be -1. NULL: no
 * memory. */
struct fsrv_process *fsrv__process_new(pid_t pid, int answer, int pidfd, uint32_t flags);
/* Gives up the only reference, and ends the process as FSRV_SPAWN_KILL_ON_CLOSE does. Returns NULL. */
struct fsrv_process *fsrv__process_end(struct fsrv_process *process);

#endif
