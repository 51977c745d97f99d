/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_PROCESS_H
#define FSRV_CLIENT_PROCESS_H

#include "forkserver.h"
#include "wire/protocol.h"

/* A process that has started. Takes the fds over, on failure too: answer, and pidfd, which may be -1. NULL: no
 * memory. */
struct fsrv_process *fsrv__process_new(pid_t pid, int answer, int pidfd, uint32_t flags);
/* The only reference is given up, and the process ended as by FSRV_SPAWN_KILL_ON_CLOSE. Returns NULL. */
struct fsrv_process *fsrv__process_end(struct fsrv_process *process);

#endif
