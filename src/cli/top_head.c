/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "top_head.h"

#include <inttypes.h>
#include <time.h>

#include "ps_table.h"

int64_t top_now_ms(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *state_of(const struct fsrv_stats *stats) {
        if (stats->failure[0])
                return "it refuses requests";
        return stats->is_ready ? "ready" : "it is loading its modules";
}

static void print_note(const struct ps_view *view, char text[TOP_LINE_SIZE]) {
        const struct fsrv_stats *stats = &view->stats;

        text[0] = 0;
        if (stats->failure[0])
                snprintf(text, TOP_LINE_SIZE, "%s", stats->failure);
        else if (stats->replaced[0])
                snprintf(text, TOP_LINE_SIZE, "'%s' has been replaced on disk", stats->replaced);
        else if (!view->is_ours)
                snprintf(text, TOP_LINE_SIZE, "what /proc says of its processes is not known here");
}

void top_head_print(const struct ps_view *view, size_t i, char text[TOP_LINE_SIZE]) {
        const struct fsrv_stats *stats = &view->stats;
        uint64_t failures = 0;
        char up[32];

        if (i == TOP_HEAD_LINES - 1) {
                print_note(view, text);
                return;
        }
        for (size_t k = 0; k < sizeof stats->failures / sizeof *stats->failures; k++)
                failures += stats->failures[k];
        ps_duration_print(stats->uptime_ms, up, sizeof up);
        if (i == 0)
                snprintf(text, TOP_LINE_SIZE, "server %d, up %s, %s", (int)stats->server_pid, up, state_of(stats));
        else
                snprintf(text, TOP_LINE_SIZE, "workers %u, standbys %u, spawns %.1f/s, exits %.1f/s, failures %" PRIu64,
                         stats->workers, stats->standbys, view->spawns, view->exits, failures);
}
