/* SPDX-License-Identifier: MIT */
#ifndef FSRV_TRACKER_RESOURCES_H
#define FSRV_TRACKER_RESOURCES_H

/* The resources that were registered: a set, so that a name that is told twice is there once. And the removal of what
 * is left in it. */

#include <stdbool.h>

#include "tracker/line.h"

struct fsrv__resource; /* one of the set; an empty set is NULL */

/* false: there is no memory for it */
bool fsrv__resources_add(struct fsrv__resource **set, enum fsrv__tracker_type type, const char *name);
/* false: it is not there */
bool fsrv__resources_remove(struct fsrv__resource **set, enum fsrv__tracker_type type, const char *name);

/* The exit codes of CPython's tracker. */
enum {
        FSRV_TRACKER_CLEAN = 0,
        FSRV_TRACKER_LEFT = 1,
        FSRV_TRACKER_FAILED = 2,
        FSRV_TRACKER_BAD_LINE = 3,
};

/* Unlinks all, names them, and empties the set. CLEAN: there was nothing; LEFT: there was, and it is gone; FAILED:
 * something could not be removed. */
int fsrv__resources_clean_up(struct fsrv__resource **set);

#endif
