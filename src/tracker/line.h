/* SPDX-License-Identifier: MIT */
#ifndef FSRV_TRACKER_LINE_H
#define FSRV_TRACKER_LINE_H

/*
 * The lines that a resource tracker hears, those of CPython's multiprocessing.resource_tracker:
 *
 *   COMMAND:NAME:TYPE                       the name goes from the first colon to the last
 *   {"cmd":…,"rtype":…,"base64_name":…}     for any name, in URL-safe base64
 *
 * Bytes and structs; no I/O.
 */

#include <stdbool.h>
#include <stddef.h>

#define FSRV_TRACKER_LINE_MAX 512 /* bytes, the newline among them: what a pipe takes in one piece on every system */
#define FSRV_TRACKER_NAME_MAX 255

enum fsrv__tracker_command { FSRV_TRACKER_REGISTER, FSRV_TRACKER_UNREGISTER, FSRV_TRACKER_PROBE };

enum fsrv__tracker_type {
        FSRV_TRACKER_NOOP, /* of probes; nothing can be registered as one */
        FSRV_TRACKER_SEMAPHORE,
        FSRV_TRACKER_SHARED_MEMORY,
        FSRV_TRACKER_DUMMY,
};

struct fsrv__tracker_line {
        enum fsrv__tracker_command command;
        enum fsrv__tracker_type type;
        char name[FSRV_TRACKER_NAME_MAX + 1]; /* empty for a probe */
};

const char *fsrv__tracker_type_name(enum fsrv__tracker_type type); /* static */

/* Reads a line, which is given without its newline. NULL, or in words what is wrong with it. */
const char *fsrv__tracker_line_parse(const char *bytes, size_t n, struct fsrv__tracker_line *ret_line);

/* Cuts what comes in into lines; remembers one line at the most, however long one is. Begins zeroed. */
struct fsrv__tracker_cutter {
        char bytes[FSRV_TRACKER_LINE_MAX];
        size_t n;
        bool overlong; /* `bytes` is how it began; the rest is skipped */
        bool whole;    /* it is a line, without its newline; the next call begins another */
};

/* Takes bytes up to the end of a line; returns how many. */
size_t fsrv__tracker_cutter_take(struct fsrv__tracker_cutter *cutter, const char *bytes, size_t n);

/* For people: makes one printable word of any bytes. What isn't plain becomes \xNN; what doesn't fit is cut off, and
 * ends in "...". `size` is at least 8. */
void fsrv__tracker_escape(const char *bytes, size_t n, char *ret_text, size_t size);

#endif
