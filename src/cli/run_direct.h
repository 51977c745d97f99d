/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_RUN_DIRECT_H
#define FORKSERVER_CLI_RUN_DIRECT_H

/* run --direct: in this very process, without a server, as for valgrind, sanitizers and debuggers. */

#include "cli.h"

/* Why this target can't be run so; NULL: it can. */
const char *cli_direct_find_conflict(const struct cli_target *target);
/* Loads the modules, and then becomes the program or calls the entry point, with which this process ends. It returns
 * an exit code, after a complaint, where that fails. `operands`: there is room for a word before them. */
int cli_direct_run(const struct cli_target *target, char **operands);

#endif
