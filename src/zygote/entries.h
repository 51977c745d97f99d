/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_ENTRIES_H
#define FSRV_ZYGOTE_ENTRIES_H

/* The entry points of a program that is its own zygote: the table that it gave to fsrv_zygote_enter(). */

#include <stdbool.h>

#include "forkserver.h"

void fsrv__entries_set(const struct fsrv_entry *table);
/* Whether this program has a table. */
bool fsrv__entries_are_set(void);
/* 0, or -ENOENT with *error (stage ENTRY). */
int fsrv__entries_find(const char *name, const struct fsrv_entry **ret_entry, struct fsrv_error *error);

#endif
