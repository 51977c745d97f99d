/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_RESOURCE_H
#define FSRV_BASE_RESOURCE_H

/* Names of what setrlimit(2) limits, without RLIMIT_: "NOFILE". */

/* The name of a resource by its number; NULL: it has none. Static. */
const char *fsrv__resource_name(int number);
/* The number of the resource with this name, in any case and with or without "RLIMIT_"; -1: there is none. */
int fsrv__resource_number(const char *name);

#endif
