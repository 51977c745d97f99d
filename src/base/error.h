/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_ERROR_H
#define FSRV_BASE_ERROR_H

#include "forkserver.h"

/* Makes one line of a text that comes from outside, with nothing in it that a terminal obeys. Works in place. */
void fsrv__text_tame(char *text);

/* Fills *error, which may be NULL, and returns -err, so that a failure is one line: `return fsrv__fail(error, stage,
 * err, "…")`. `err` is positive. ": <strerror>" is appended to the text. This allocates nothing and takes no lock but
 * vsnprintf's. */
int fsrv__fail(struct fsrv_error *error, enum fsrv_stage stage, int err, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* The same without the errno's own words, for a text that already says the cause. */
int fsrv__fail_text(struct fsrv_error *error, enum fsrv_stage stage, int err, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

#endif
