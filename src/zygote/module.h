/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_MODULE_H
#define FSRV_ZYGOTE_MODULE_H

#include "forkserver-host.h"

/* The host for shared objects, and for a program that has a table of entry points (entries.h). */
extern const struct fsrv_host fsrv__module_host;

/* From now on an entry point is a module's own function, and no longer one of a library that it depends on. */
void fsrv__module_restrict(void);

#endif
