/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

void map_progress_init(struct map_progress *progress, const struct map_options *options) {
        bool on_terminal = isatty(STDERR_FILENO) && !options->quiet;

        *progress = (struct map_progress){
                .total = -1,
                .started = map_clock(CLOCK_MONOTONIC),
                .with_summary = on_terminal || options->progress,
                .with_line = on_terminal && !options->ungroup, /* the items' own output would break the line */
        };
}

void map_progress_count(struct map_progress *progress, bool failed) {
        progress->done++;
        progress->failed += failed;
}

void map_progress_clear(struct map_progress *progress) {
        if (progress->line_shown)
                (void)!write(STDERR_FILENO, "\r\033[K", 4);
        progress->line_shown = false;
}

static int describe(const struct map_progress *progress, char *text, size_t size) {
        double elapsed = map_clock(CLOCK_MONOTONIC) - progress->started;

        return snprintf(text, size, "%lu done, %lu failed, %.0f/s", progress->done, progress->failed,
                        elapsed > 0 ? (double)progress->done / elapsed : 0.0);
}

void map_progress_show(struct map_progress *progress) {
        char text[160] = "\r";

        if (!progress->with_line)
                return;
        double now = map_clock(CLOCK_MONOTONIC);
        if (now - progress->shown < 0.1)
                return;
        progress->shown = now;
        int n = 1 + describe(progress, text + 1, sizeof text - 1);
        if (progress->total >= 0)
                n += snprintf(text + n, sizeof text - (size_t)n, ", %ld to go", progress->total - (long)progress->done);
        n += snprintf(text + n, sizeof text - (size_t)n, "\033[K");
        (void)!write(STDERR_FILENO, text, (size_t)n);
        progress->line_shown = true;
}

void map_progress_done(struct map_progress *progress) {
        double elapsed = map_clock(CLOCK_MONOTONIC) - progress->started;
        char text[160];

        map_progress_clear(progress);
        if (!progress->with_summary)
                return;
        describe(progress, text, sizeof text);
        cli_complain("map: %s, %.2f s", text, elapsed);
}
