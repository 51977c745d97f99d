/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_TITLE_H
#define FSRV_BASE_TITLE_H

/* What ps(1) shows of a process. This works in place, on the memory that the kernel reads /proc/PID/cmdline from. It
 * allocates nothing, and a forked child changes only its own title. */

#include <stddef.h>

#define FSRV_TITLE_SIZE 240

/* Takes over main's argv[0], in which the parent left room for a title. */
void fsrv__title_init(char **argv);
/* Has the kernel read titles from there. It has to be anonymous memory that stays, such as a stack frame; static memory
 * does not do. If the kernel refuses, a title stays where it was. In a program with its own argv the title is then the
 * role alone, as the process's name: "fsrv standby". */
void fsrv__title_move(char memory[FSRV_TITLE_SIZE]);
/* Sets the title of two parts: "forkserver: ROLE", and a detail, which may be NULL. The parts are copied, not
 * formatted: this is on a worker's way to its start, and printf(3) alone costs five page faults. */
void fsrv__title_set(const char *role, const char *detail);

/* Makes the argv[0] of a helper program that is about to be started, with room for later titles. */
void fsrv__title_argument(char ret_argument[FSRV_TITLE_SIZE], const char *title);

#endif
