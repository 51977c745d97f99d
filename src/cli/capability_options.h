/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_CAPABILITY_OPTIONS_H
#define FORKSERVER_CLI_CAPABILITY_OPTIONS_H

#include "forkserver.h"

/* Takes one of --bounding-set, --ambient-caps, --inh-caps and --securebits, which change what forkserver itself has.
 * 0, -EINVAL with a complaint; 1: it is none of these. */
int cli_capabilities_take_option(struct fsrv_attributes *attributes, int c, const char *text);

#endif
