/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_CHECK_SANDBOX_H
#define FORKSERVER_CLI_CHECK_SANDBOX_H

#include "cli.h"

/* Shows what of a sandbox this system enforces, and by what. The exit code: 1 if there is a gap. */
int check_sandbox(struct cli_sandbox *sandbox, bool json);

#endif
