/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_CAPABILITY_H
#define FSRV_BASE_CAPABILITY_H

/* Names of capabilities(7), in lower case and without CAP_: "net_bind_service". */

enum { FSRV_CAPABILITIES = 41 };

/* The name of a capability by its number; NULL: there is none in the table. Static. */
const char *fsrv__capability_name(int number);
/* The number of the capability with this name, in any case and with or without "cap_"; -1: there is none. */
int fsrv__capability_number(const char *name);

#endif
