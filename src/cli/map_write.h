/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_WRITE_H
#define FORKSERVER_CLI_MAP_WRITE_H

/* Our standard output and standard error. The first failure of each has a complaint; then it takes everything in
 * silence. */

#include <stdbool.h>
#include <stddef.h>

/* All of it, however long that takes. 0 or -errno. */
int map_write(int to, const char *bytes, size_t n);
/* The same with `tag` and a TAB before each line. *in_line says whether a line has begun, and is kept up. */
int map_write_tagged(int to, const char *bytes, size_t n, const char *tag, bool *in_line);

/* To a file, which doesn't let us wait. 0 or -errno, without a complaint. */
int map_write_file(int fd, const char *bytes, size_t n);

#endif
