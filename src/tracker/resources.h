/* SPDX-License-Identifier: MIT */
#ifndef FSRV_TRACKER_RESOURCES_H
#define FSRV_TRACKER_RESOURCES_H

/* What was registered: a set, so that a name told twice is there once. And removing what is left of it. */

#include <stdbool.h>

#include "tracker/line.h"

struct fsrv__resource; /* one of the set; an empty set is NULL */

/* Says what happened in text of `format`, one line, to who started the tracker. */
void fsrv__tracker_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* false: there is no memory for it */
bool fsrv__resources_add(struct fsrv__resource **set, enum fsrv__tracker_type type, const char *name);
/* false: it is not there */
bool fsrv__resources_remove(struct fsrv__resource **set, enum fsrv__tracker_type type, const char *name);

/* exit codes, those of CPython's */
enum {
        FSRV_TRACKER_CLEAN = 0,
        FSRV_TRACKER_LEFT = 1,
        FSRV_TRACKER_FAILED = 2,
        FSRV_TRACKER_BAD_LINE = 3,
};

/* Unlinks all, names them, and empties the set. CLEAN, LEFT (something was, and is gone) or FAILED (it cannot be). */
int fsrv__resources_clean_up(struct fsrv__resource **set);

#endif
