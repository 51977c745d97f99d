/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/linux.h"
#include "forkserver.h"
#include "server/server.h"

/* The counters as OpenMetrics text. All series are always there, those with a zero too: a monitor that asks for a rate
 * needs a value from before. */

static void put_family(FILE *out, const char *name, const char *type, const char *help) {
        fprintf(out, "# TYPE forkserver_%s %s\n# HELP forkserver_%s %s\n", name, type, name, help);
}

static void put_counter(FILE *out, const char *name, const char *help, uint64_t value) {
        put_family(out, name, "counter", help);
        fprintf(out, "forkserver_%s_total %" PRIu64 "\n", name, value);
}

static void put_gauge(FILE *out, const char *name, const char *help, uint64_t value) {
        put_family(out, name, "gauge", help);
        fprintf(out, "forkserver_%s %" PRIu64 "\n", name, value);
}

static void put_histogram(FILE *out, const char *name, const char *help, const struct fsrv__histogram *histogram) {
        uint64_t n = 0;

        put_family(out, name, "histogram", help);
        for (int i = 0; i < FSRV_HISTOGRAM_BOUNDS; i++) {
                n += histogram->counts[i];
                fprintf(out, "forkserver_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                        (double)fsrv__histogram_bounds[i] / 1e6, n);
        }
        fprintf(out, "forkserver_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, histogram->n);
        fprintf(out, "forkserver_%s_count %" PRIu64 "\nforkserver_%s_sum %.6f\n", name, histogram->n, name,
                (double)histogram->sum_us / 1e6);
}

static void put_deaths(FILE *out, const uint64_t *signals, int n) {
        put_family(out, "worker_deaths", "counter", "Workers that a signal has ended.");
        for (int i = 1; i < n; i++) {
                const char *name = sigabbrev_np(i);

                if (name)
                        fprintf(out, "forkserver_worker_deaths_total{signal=\"SIG%s\"} %" PRIu64 "\n", name,
                                signals[i]);
                else if (i >= 32) /* real-time signals */
                        fprintf(out, "forkserver_worker_deaths_total{signal=\"%d\"} %" PRIu64 "\n", i, signals[i]);
        }
}

static void put_failures(FILE *out, const uint64_t *failures) {
        put_family(out, "failures", "counter", "Requests of which nothing ran, by the step that failed.");
        for (uint32_t i = 1; i < FSRV_STAGE_COUNT; i++)
                fprintf(out, "forkserver_failures_total{stage=\"%s\"} %" PRIu64 "\n", fsrv_stage_name(i), failures[i]);
}

/* Of the control group that the server is in, since that was made. 0: nothing can be known. */
static uint64_t count_oom_kills(void) {
        char line[4096], path[4352];
        uint64_t n = 0;
        FILE *file = fopen("/proc/self/cgroup", "re");

        path[0] = 0;
        while (file && fgets(line, sizeof line, file))
                if (strncmp(line, "0::", 3) == 0)
                        snprintf(path, sizeof path, "/sys/fs/cgroup%.*s/memory.events", (int)strcspn(line + 3, "\n"),
                                 line + 3);
        if (file)
                fclose(file);
        file = path[0] ? fopen(path, "re") : NULL;
        while (file && fgets(line, sizeof line, file))
                sscanf(line, "oom_kill %" SCNu64, &n);
        if (file)
                fclose(file);
        return n;
}

static void put_processes(FILE *out, const struct fsrv__wire_stats *stats) {
        put_gauge(out, "ready", "1 while the modules are loaded and requests are served.", stats->is_ready);
        put_gauge(out, "workers", "Workers that are alive.", stats->workers);
        put_gauge(out, "standbys", "Processes that are ready for a request.", stats->standbys);
        put_gauge(out, "files_replaced", "1 if a loaded file has been replaced on disk since.",
                  stats->replaced[0] != 0);
        put_family(out, "zygote_memory_bytes", "gauge", "The zygote's private memory, by what was done to it.");
        fprintf(out,
                "forkserver_zygote_memory_bytes{state=\"frozen\"} %" PRIu64
                "\n"
                "forkserver_zygote_memory_bytes{state=\"collapsed\"} %" PRIu64
                "\n"
                "forkserver_zygote_memory_bytes{state=\"left\"} %" PRIu64 "\n",
                stats->memory.frozen, stats->memory.collapsed, stats->memory.left);
}

static void put_all(FILE *out, const struct fsrv__server *s, const struct fsrv__wire_stats *stats) {
        const struct fsrv__counts *counts = &s->counts;

        put_processes(out, stats);
        put_counter(out, "spawns", "Requests that were answered for: taken, or refused.", stats->spawns);
        put_counter(out, "claims", "Requests that a standby took.", stats->claims);
        put_counter(out, "exits", "Workers that have ended.", stats->exits);
        put_counter(out, "exit_failures", "Workers that ended by themselves, with a code other than 0.",
                    counts->exit_failures);
        put_deaths(out, stats->signals, sizeof stats->signals / sizeof *stats->signals);
        put_counter(out, "time_limits", "Workers that were ended at their time limit.", counts->timed_out);
        put_counter(out, "oom_kills", "Processes that were killed for want of memory in the server's control group.",
                    count_oom_kills());
        put_counter(out, "refused_calls", "System calls of workers that a sandbox has refused.", counts->refused);
        put_counter(out, "refused_kills", "Workers that were ended for such a call.", counts->refused_kills);
        put_failures(out, stats->failures);
        put_counter(out, "zygote_starts", "Zygotes that were started.", stats->zygote_starts);
        put_counter(out, "zygote_restarts", "Those of them that followed one which had died or failed.",
                    stats->zygote_restarts);
        put_counter(out, "reloads", "Reloads that have succeeded.", stats->reloads);
        put_counter(out, "failed_reloads", "Reloads that have failed.", stats->failed_reloads);
        put_counter(out, "malformed_messages", "Messages to the server that made no sense.", stats->malformed);
        put_histogram(out, "queue_seconds", "From a request's making to its receipt by a standby.", &counts->queue);
        put_histogram(out, "fork_seconds", "From the order for a standby to its fork.", &counts->fork);
        put_histogram(out, "run_seconds", "From a request's receipt to the worker's end.", &counts->run);
        fprintf(out, "# EOF\n");
}

char *fsrv__metrics_write(const struct fsrv__server *s, const struct fsrv__wire_stats *stats, size_t *ret_size) {
        char *text = NULL;
        FILE *out = open_memstream(&text, ret_size);

        if (!out)
                return NULL;
        put_all(out, s, stats);
        if (fclose(out) == 0)
                return text;
        free(text);
        return NULL;
}
