/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_PROGRESS_H
#define FORKSERVER_CLI_MAP_PROGRESS_H

/* The counts of forkserver map, as a line on a terminal and as the summary at the end. */

#include <stdbool.h>

struct map_items;
struct map_options;

struct map_progress {
        const struct map_items *items;
        unsigned long done, failed;
        long total; /* with those that an earlier run has done; -1: unknown */
        double started, last, shown;
        bool with_summary, with_line, is_dumb;
        char line[128]; /* that is shown; empty: none */
};

void map_progress_init(struct map_progress *progress, const struct map_options *options);
/* Counts what there will be, for the line. */
void map_progress_set_items(struct map_progress *progress, const struct map_items *items);
/* An item has ended. */
void map_progress_count(struct map_progress *progress, bool failed);
/* Shows the line, if there is one and it is time, unless it is there as it is to be. */
void map_progress_show(struct map_progress *progress);
/* Takes the line away, for other text. */
void map_progress_clear(struct map_progress *progress);
/* The summary. */
void map_progress_done(struct map_progress *progress);

#endif
