/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int map_report_init(struct map_report *report, const struct map_options *options) {
        *report = (struct map_report){ .options = options };
        map_progress_init(&report->progress, options);
        if (!options->json)
                return 0;
        report->json = fopen(options->json, "we");
        if (report->json)
                return 0;
        int err = errno;
        cli_complain("map: cannot write %s: %s", options->json, strerror(err));
        return -err;
}

/* ---- JSON ---- */

static double seconds(const struct timeval *time) {
        return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void json_status(FILE *out, const struct fsrv_status *status) {
        const struct rusage *usage = &status->rusage;

        if (status->signal)
                fprintf(out, "\"status\": null, \"signal\": %d", status->signal);
        else
                fprintf(out, "\"status\": %d, \"signal\": null", status->exit_code);
        if (status->flags & FSRV_STATUS_TIMED_OUT)
                fputs(", \"timed_out\": true", out);
        fprintf(out, ", \"rusage\": {\"utime\": %.6f, \"stime\": %.6f", seconds(&usage->ru_utime),
                seconds(&usage->ru_stime));
        fprintf(out, ", \"maxrss\": %ld, \"minflt\": %ld, \"majflt\": %ld}", usage->ru_maxrss, usage->ru_minflt,
                usage->ru_majflt);
}

static void json_lost(FILE *out, int err) {
        if (!err)
                return;
        fprintf(out, ", \"lost\": {\"errno\": %d, \"text\": ", err);
        cli_json_string(out, strerror(err));
        fputc('}', out);
}

static void json_result(FILE *out, const struct map_result *result) {
        fputs("{\"item\": ", out);
        cli_json_string(out, result->item->text);
        if (result->pid)
                fprintf(out, ", \"pid\": %d, ", (int)result->pid);
        else
                fputs(", \"pid\": null, ", out);
        if (result->has_status)
                json_status(out, &result->status);
        else {
                fputs("\"status\": null, \"signal\": null, ", out);
                fprintf(out, "\"error\": {\"stage\": \"%s\", \"errno\": %d, \"text\": ",
                        fsrv_stage_name(result->error.stage), result->error.err);
                cli_json_string(out, result->error.text);
                fputc('}', out);
        }
        json_lost(out, map_result_lost(result));
        fprintf(out, ", \"start\": %.6f, \"end\": %.6f}\n", result->started, result->ended);
}

/* ---- lines for people ---- */

enum { SHOWN_ITEM = 200 }; /* short enough that the reason is seen */

/* As other tools of this kind, nothing of mere exit codes. */
static bool is_worth_a_line(const struct map_result *result) {
        return !result->has_status || result->status.signal || result->status.flags & FSRV_STATUS_TIMED_OUT ||
               map_result_lost(result);
}

static void complain_of(const struct map_result *result) {
        const struct fsrv_status *status = &result->status;
        char item[SHOWN_ITEM + sizeof "..."], name[32];

        cli_harmless(item, sizeof item, result->item->text);
        if (map_result_lost(result))
                cli_complain("map: '%s': not all of its output could be kept: %s", item,
                             strerror(map_result_lost(result)));
        if (!result->has_status)
                cli_complain("map: '%s': %s", item, result->error.text);
        else if (result->stopped)
                cli_complain("map: '%s': it was stopped because it wants the terminal (see --tty)", item);
        else if (status->flags & FSRV_STATUS_TIMED_OUT)
                cli_complain("map: '%s': %s after its time limit", item,
                             status->signal == SIGKILL ? "killed" : "ended");
        else if (status->signal)
                cli_complain("map: '%s': killed by %s%s", item, cli_signal_name(status->signal, name),
                             status->flags & FSRV_STATUS_CORE_DUMPED ? " (core dumped)" : "");
}

/* ---- results ---- */

void map_report_check(struct map_report *report, int r) {
        if (r < 0 && !report->broken)
                report->broken = -r;
}

static void write_outputs(struct map_report *report, struct map_outputs *outputs) {
        for (int i = 0; i < 2 && outputs; i++)
                map_report_check(report, map_output_show(&outputs->of[i]));
}

/* At once, for whoever reads along, and so that all that was done is there if we are killed. */
static void write_json(struct map_report *report, const struct map_result *result) {
        if (!report->json || report->broken)
                return;
        json_result(report->json, result);
        if (fflush(report->json) != 0) {
                report->broken = errno;
                cli_complain("map: cannot write %s: %s", report->options->json, strerror(report->broken));
        }
}

void map_report_result(struct map_report *report, const struct map_result *result) {
        bool speaks = is_worth_a_line(result);

        if (speaks || map_outputs_have_some(result->outputs))
                map_progress_clear(&report->progress);
        write_outputs(report, result->outputs);
        if (speaks)
                complain_of(result);
        write_json(report, result);
}

int map_report_done(struct map_report *report) {
        map_progress_done(&report->progress);
        if (report->json && fclose(report->json) != 0 && !report->broken) {
                report->broken = errno;
                cli_complain("map: cannot write %s: %s", report->options->json, strerror(report->broken));
        }
        return -report->broken;
}
