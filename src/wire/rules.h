/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_RULES_H
#define FSRV_WIRE_RULES_H

/* The rules of a sandbox in words, and what becomes of each on this system. */

#include "forkserver.h"
#include "wire/sandbox_codec.h"

/* Calls tell() for each rule. */
void fsrv__rules_tell(const struct fsrv__sandbox_parts *sandbox,
                      void (*tell)(const struct fsrv_sandbox_rule *rule, void *data), void *data);

#endif
