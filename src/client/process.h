/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_PROCESS_H
#define FSRV_CLIENT_PROCESS_H

#include <stdbool.h>

#include "forkserver.h"
#include "wire/protocol.h"

/* A flag beside those of a request: the payload is a file, which the process has mapped. */
#define FSRV_SPAWN_FILE (1u << 31)

/* Makes the handle of a process that has started. Takes the fds over, on failure too; pidfd may be -1, and result is -1
 * where none is wanted. NULL: no memory. */
struct fsrv_process *fsrv__process_new(pid_t pid, int answer, int pidfd, int result, uint32_t flags);
/* Gives up the only reference, and ends the process as FSRV_SPAWN_KILL_ON_CLOSE does. Returns NULL. */
struct fsrv_process *fsrv__process_end(struct fsrv_process *process);
/* The fd that is readable when there is something to hear, and when to look though it is not: *ret_until, or never. */
int fsrv__process_awaited_fd(struct fsrv_process *process, int64_t *ret_until);
/* How the process ended, and the socket of its result, which is the caller's now; -1: none was wanted, or it was taken
 * before. 0; -EBUSY: it has not ended; -EOWNERDEAD: its status is lost. */
int fsrv__process_take_result(struct fsrv_process *process, struct fsrv_status *ret_status, int *ret_sock);
/* FSRV_SPAWN_FILE */
bool fsrv__process_has_file(const struct fsrv_process *process);

#endif
