/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* ---- the terminal ---- */

static bool is_dumb_terminal(void) {
        const char *name = getenv("TERM");

        return !name || !name[0] || strcmp(name, "dumb") == 0;
}

/* Asked for each time, which costs less than to hear of SIGWINCH. */
static size_t columns(void) {
        struct winsize size;

        return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

/* Instead of the line that is shown: without escape codes where they may mean nothing. */
static void replace_line(struct map_progress *progress, const char *line) {
        char text[2 * sizeof progress->line + 8];
        size_t n = strlen(line), before = strlen(progress->line), room = columns() - 1;
        size_t blanks = before > room ? room : before;
        int length;

        if (!progress->is_dumb)
                length = snprintf(text, sizeof text, "\r%s\033[K", line);
        else if (n == 0)
                length = snprintf(text, sizeof text, "\r%*s\r", (int)blanks, "");
        else
                length = snprintf(text, sizeof text, "\r%s%*s", line, (int)(blanks > n ? blanks - n : 0), "");
        (void)!write(STDERR_FILENO, text, (size_t)length);
        strcpy(progress->line, line);
}

/* ---- counting ---- */

void map_progress_init(struct map_progress *progress, const struct map_options *options) {
        bool on_terminal = isatty(STDERR_FILENO) && !options->quiet;
        double now = map_clock(CLOCK_MONOTONIC);

        *progress = (struct map_progress){
                .total = -1,
                .started = now,
                .last = now,
                .with_summary = on_terminal || options->progress,
                .with_line = on_terminal && !options->ungroup, /* the items' own output would break the line */
                .is_dumb = is_dumb_terminal(),
        };
}

void map_progress_set_items(struct map_progress *progress, const struct map_items *items) {
        progress->items = items;
        if (progress->with_line)
                progress->total = map_items_count(items);
}

void map_progress_count(struct map_progress *progress, bool failed) {
        progress->done++;
        progress->failed += failed;
        progress->last = map_clock(CLOCK_MONOTONIC);
}

/* ---- texts ---- */

/* As of the last item's end: between two nothing new is known. */
static double rate(const struct map_progress *progress) {
        double elapsed = progress->last - progress->started;

        return elapsed > 0 ? (double)progress->done / elapsed : 0;
}

static size_t print_counts(const struct map_progress *progress, char *text, size_t size) {
        double r = rate(progress);

        return (size_t)snprintf(text, size, "%lu done, %lu failed, %.*f/s", progress->done, progress->failed,
                                r > 0 && r < 10, r);
}

static size_t print_time_left(double seconds, char *text, size_t size) {
        unsigned long s = seconds < 1e9 ? (unsigned long)(seconds + 0.5) : 1000000000;

        if (s < 60)
                return (size_t)snprintf(text, size, ", ETA %lu s", s);
        if (s < 3600)
                return (size_t)snprintf(text, size, ", ETA %lu m %lu s", s / 60, s % 60);
        return (size_t)snprintf(text, size, ", ETA %lu h %lu m", s / 3600, s / 60 % 60);
}

static void print_rest(const struct map_progress *progress, char *text, size_t size) {
        long skipped = (long)(progress->items->numbered - progress->items->taken);
        long left = progress->total - skipped - (long)progress->done;
        size_t n = (size_t)snprintf(text, size, ", %ld to go", left);

        if (progress->done > 0 && rate(progress) > 0)
                print_time_left((double)left / rate(progress), text + n, size - n);
}

/* ---- showing ---- */

void map_progress_clear(struct map_progress *progress) {
        if (progress->line[0])
                replace_line(progress, "");
}

void map_progress_show(struct map_progress *progress) {
        char line[sizeof progress->line];
        double now;

        if (!progress->with_line || (now = map_clock(CLOCK_MONOTONIC)) - progress->shown < 0.1)
                return;
        size_t n = print_counts(progress, line, sizeof line), room = columns() - 1;
        if (progress->total >= 0)
                print_rest(progress, line + n, sizeof line - n);
        if (room < sizeof line)
                line[room] = 0;
        progress->shown = now;
        if (strcmp(line, progress->line) != 0)
                replace_line(progress, line);
}

void map_progress_done(struct map_progress *progress) {
        double elapsed = map_clock(CLOCK_MONOTONIC) - progress->started;
        char text[128];

        map_progress_clear(progress);
        if (!progress->with_summary)
                return;
        print_counts(progress, text, sizeof text);
        cli_complain("map: %s, %.2f s", text, elapsed);
}
