/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_RUN_DEBUG_H
#define FORKSERVER_CLI_RUN_DEBUG_H

/* run --debug COMMAND: a debugger attaches to the worker, which has stopped itself before what it runs. */

#include "cli.h"

/* Runs the debugger on the worker, which was spawned with FSRV_SPAWN_STOPPED, until the debugger has ended. Then the
 * worker goes on, if it is still there. 0, or the exit code after a complaint: the worker is to be killed then. */
int cli_debug(struct fsrv_process *process, const struct cli_target *target, const struct cli_signals *signals);

#endif
