/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_ERROR_H
#define FSRV_BASE_ERROR_H

#include "forkserver.h"

/* Names and messages come from outside: makes one line of them, with nothing that a terminal obeys. In place. */
void fsrv__text_tame(char *text);

/* Fills *error (may be NULL) and returns -err, so that a failure is one line:
 * `return fsrv__fail(error, stage, err, "…")`. `err` is positive. The text gets ": <strerror>" appended. No allocation,
 * no locks besides vsnprintf's. */
int fsrv__fail(struct fsrv_error *error, enum fsrv_stage stage, int err, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* The same without the errno's own words: for a text that says the cause already. */
int fsrv__fail_text(struct fsrv_error *error, enum fsrv_stage stage, int err, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

#endif
