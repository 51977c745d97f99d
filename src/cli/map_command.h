/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_COMMAND_H
#define FORKSERVER_CLI_MAP_COMMAND_H

/* Command lines for people: a shell reads them as the same words. */

#include <stdio.h>

void map_print_command(FILE *out, char *const *words);

#endif
