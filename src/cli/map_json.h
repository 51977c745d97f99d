/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_JSON_H
#define FORKSERVER_CLI_MAP_JSON_H

/* The report of forkserver map: an object a line for each item, as it ends. */

#include <stdio.h>

#include "map.h"

/* Opens the file of --json: anew; with --resume behind what is there, less a last line that a run which was killed left
 * torn. "-" is standard output, which the items' outputs leave to it: theirs is standard error from then on. 0 or
 * -errno with a complaint. */
int map_json_open(const struct map_options *options, FILE **ret_file);
void map_json_write(FILE *out, const struct map_options *options, const struct map_result *result);

#endif
