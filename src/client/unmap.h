/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_UNMAP_H
#define FSRV_CLIENT_UNMAP_H

#include <stddef.h>

/* Makes a copy of a program a process that does nothing. It gives all memory back but this stack and the code that runs
 * here, tells `err` on the pipe `report` and closes that, waits for the end of all its children, and ends. */
_Noreturn void fsrv__unmap_and_wait(const char *stack, size_t size, int report, int err);

#endif
