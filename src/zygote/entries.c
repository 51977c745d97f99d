/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/entries.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

static const struct fsrv_entry *entries; /* NULL: there is no table */

void fsrv__entries_set(const struct fsrv_entry *table) {
        entries = table;
}

bool fsrv__entries_are_set(void) {
        return entries;
}

static int refuse_unknown_name(const char *name, struct fsrv_error *error) {
        char names[FSRV_ERROR_TEXT_SIZE] = "";
        size_t n = 0;

        for (const struct fsrv_entry *entry = entries; entry->name && n < sizeof names; entry++)
                n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", entry->name);
        return fsrv__fail_text(error, FSRV_STAGE_ENTRY, ENOENT, "the program has no entry point '%.100s'; it has: %s",
                               name, names[0] ? names : "none");
}

int fsrv__entries_find(const char *name, const struct fsrv_entry **ret_entry, struct fsrv_error *error) {
        if (!entries)
                return fsrv__fail_text(error, FSRV_STAGE_ENTRY, ENOENT,
                                       "entry point ':%.80s': the zygote is no program with entry points of its own "
                                       "('%s' is not in the preload list)",
                                       name, FSRV_PRELOAD_MAIN);
        for (const struct fsrv_entry *entry = entries; entry->name; entry++)
                if (strcmp(entry->name, name) == 0) {
                        *ret_entry = entry;
                        return 0;
                }
        return refuse_unknown_name(name, error);
}
