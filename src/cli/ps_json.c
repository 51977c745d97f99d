/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdlib.h>

#include "ps_table.h"

static void print_number(FILE *out, const char *name, uint64_t value, bool is_known) {
        if (is_known)
                fprintf(out, ", \"%s\": %" PRIu64, name, value);
        else
                fprintf(out, ", \"%s\": null", name);
}

static void print_string(FILE *out, const char *name, const char *text, bool is_known) {
        fprintf(out, ", \"%s\": ", name);
        if (is_known)
                cli_json_string(out, text);
        else
                fputs("null", out);
}

static void print_row(FILE *out, const struct ps_view *view, const struct ps_row *row, bool with_share) {
        bool is_worker = row->of.role == FSRV_PROCESS_WORKER;
        char user[64], state[] = { row->state, 0 };
        char *what = ps_what(view, row);

        ps_user_print(view, row, user, sizeof user);
        fprintf(out, "{\"pid\": %d, \"role\": \"%s\"", (int)row->of.pid, ps_role_name(row->of.role));
        print_number(out, "age_ms", row->of.age_ms, true);
        print_number(out, "client_pid", (uint64_t)row->of.client_pid, row->of.client_pid > 0);
        print_number(out, "client_uid", row->of.client_uid, is_worker);
        print_string(out, "user", user, is_worker);
        print_number(out, "left_ms", row->of.left_ms, row->of.left_ms != UINT64_MAX);
        print_number(out, "zygote", row->of.zygote, true);
        fprintf(out, ", \"sandbox\": %s", row->of.is_locked ? "true" : "false");
        print_string(out, "state", state, row->is_known);
        print_number(out, "processes", row->members, row->is_known);
        print_number(out, "threads", row->threads, row->is_known);
        print_number(out, "cpu_ms", row->cpu_ms, row->is_known);
        if (with_share && row->is_known)
                fprintf(out, ", \"cpu_percent\": %.1f", row->share);
        else if (with_share)
                fputs(", \"cpu_percent\": null", out);
        print_number(out, "memory", row->memory, row->has_memory);
        print_string(out, "what", what ? what : "", what && row->is_known);
        fputc('}', out);
        free(what);
}

static uint64_t sum_of_failures(const struct fsrv_stats *stats) {
        uint64_t sum = 0;

        for (size_t i = 0; i < sizeof stats->failures / sizeof *stats->failures; i++)
                sum += stats->failures[i];
        return sum;
}

static void print_counters(FILE *out, const struct ps_view *view) {
        const struct fsrv_stats *stats = &view->stats;

        print_number(out, "workers", stats->workers, true);
        print_number(out, "standbys", stats->standbys, true);
        print_number(out, "spawns", stats->spawns, true);
        print_number(out, "exits", stats->exits, true);
        fprintf(out, ", \"spawns_per_second\": %.1f, \"exits_per_second\": %.1f", view->spawns, view->exits);
        print_number(out, "failures", sum_of_failures(stats), true);
        fprintf(out, ", \"is_ready\": %s", stats->is_ready ? "true" : "false");
        print_string(out, "failure", stats->failure, stats->failure[0]);
        print_string(out, "replaced", stats->replaced, stats->replaced[0]);
}

void ps_json_print(FILE *out, const struct ps_view *view, const struct ps_options *options) {
        fprintf(out, "{\"server_pid\": %d, \"uptime_ms\": %" PRIu64 ", \"same_pid_namespace\": %s",
                (int)view->stats.server_pid, view->stats.uptime_ms, view->is_ours ? "true" : "false");
        if (options->is_top)
                print_counters(out, view);
        fputs(", \"list\": [", out);
        for (size_t i = 0; i < view->n; i++) {
                fputs(i > 0 ? ", " : "", out);
                print_row(out, view, &view->rows[i], options->is_top);
        }
        fputs("]}\n", out);
}
