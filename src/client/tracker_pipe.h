/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_TRACKER_PIPE_H
#define FSRV_CLIENT_TRACKER_PIPE_H

/* The resource tracker (src/tracker/) is a program at the other end of a pipe, to which every message is one line in
 * one write, so that the lines of all writers stay whole. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FSRV_TRACKER_LINE_MAX = 512, FSRV_TRACKER_NAME_MAX = 255 };

/* How many bytes the line has. The name has at most FSRV_TRACKER_NAME_MAX. */
size_t fsrv__tracker_make_line(const char *command, const char *type, const char *name,
                               char ret_line[FSRV_TRACKER_LINE_MAX]);
/* Waits for room until the deadline; never SIGPIPE. 0; -EPIPE: the tracker has ended; -ETIMEDOUT; another -errno. */
int fsrv__tracker_write_line(int fd, const char *line, size_t n, int64_t deadline);

/* Whether somebody reads at the other end. fd may be -1, or a number that the program has closed. */
bool fsrv__tracker_has_reader(int fd);
/* Once a number is the tracker's it stays so, since other threads may be about to use it: they find one tracker or the
 * other behind it, never a number that is closed. So, where the program has closed it, this puts a pipe without a
 * reader there, before something else gets the number. -1: nothing is to be kept. */
void fsrv__tracker_keep_number(int number);
/* Puts the pipe `fd`, which is taken over, under that number. 0 or -errno. */
int fsrv__tracker_put_under(int number, int fd);

#endif
