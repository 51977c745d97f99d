/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_TITLE_H
#define FSRV_BASE_TITLE_H

/* What ps(1) shows of a process. Works in place, on the memory that the kernel reads /proc/PID/cmdline from: no
 * allocation, and a forked child changes only its own. */

#include <stddef.h>

#define FSRV_TITLE_SIZE 240

/* Takes over main's argv[0], which the parent filled up with room for a title. */
void fsrv__title_init(char **argv);
/* Has the kernel read titles from there, which has to be anonymous memory that stays: a stack frame, say; static memory
 * doesn't do. Where it won't, a title stays where it was; in a program whose argv is its own it is the role alone then,
 * as the process's name: "fsrv standby". */
void fsrv__title_move(char memory[FSRV_TITLE_SIZE]);
/* Two parts, one after the other: "forkserver: ROLE", and a detail, which may be NULL. Copying, not formatting: it is
 * on a worker's way to its start, and printf(3) alone would be five page faults. */
void fsrv__title_set(const char *role, const char *detail);

/* For who starts a helper program: the argv[0] that leaves room for later titles. */
void fsrv__title_argument(char ret_argument[FSRV_TITLE_SIZE], const char *title);

#endif
