/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_RESULTS_H
#define FORKSERVER_CLI_MAP_RESULTS_H

/* --result: a directory with a file for each item, which has what its entry point gave back. */

#include "cli.h"
#include "map_item.h"

struct map_results {
        const char *path; /* NULL: no results are kept */
        int directory;
        void *names; /* the files of this run, tsearch(3) */
};

/* Makes the directory if there is none. path may be NULL. 0 or -errno with a complaint. */
int map_results_open(struct map_results *results, const char *path);
void map_results_done(struct map_results *results);
/* Chooses the file of a new item, so that no other item of this run has it. 0 or -ENOMEM. */
int map_results_name(struct map_results *results, struct map_item *item);
/* Writes the item's file. It is whole before it has its name. 0, or -errno and *error. */
int map_results_keep(const struct map_results *results, const struct map_item *item, const struct fsrv_result *result,
                     struct fsrv_error *error);

#endif
