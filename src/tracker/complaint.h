/* SPDX-License-Identifier: MIT */
#ifndef FSRV_TRACKER_COMPLAINT_H
#define FSRV_TRACKER_COMPLAINT_H

/* Writes text of `format`, one line, to standard error, which is that of the process that started the tracker. It waits
 * a second at most for a reader. */
void fsrv__tracker_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
