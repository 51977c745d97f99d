/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_PROGRESS_H
#define FORKSERVER_CLI_MAP_PROGRESS_H

/* The counts of forkserver map, as a line on a terminal and as the summary at the end. */

#include <stdbool.h>

struct map_options;

struct map_progress {
        unsigned long done, failed;
        long total; /* -1: unknown */
        double started, shown;
        bool with_summary, with_line, line_shown;
};

void map_progress_init(struct map_progress *progress, const struct map_options *options);
/* An item has ended. */
void map_progress_count(struct map_progress *progress, bool failed);
/* Shows the line again, if there is one and it is time. */
void map_progress_show(struct map_progress *progress);
/* Takes the line away, for other text. */
void map_progress_clear(struct map_progress *progress);
/* The summary. */
void map_progress_done(struct map_progress *progress);

#endif
