/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"
#include "map_json.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SYNC_SECONDS = 5 };

int map_report_init(struct map_report *report, const struct map_options *options) {
        *report = (struct map_report){ .options = options };
        map_progress_init(&report->progress, options);
        report->synced = map_clock(CLOCK_MONOTONIC);
        return options->json ? map_json_open(options, &report->json) : 0;
}

/* ---- lines for people ---- */

enum { SHOWN_ITEM = 200 }; /* short enough that the reason is seen */

/* As with other tools of this kind, nothing is said of mere exit codes. */
static bool is_worth_a_line(const struct map_result *result) {
        return !result->has_status || result->has_failed || result->status.signal ||
               result->status.flags & FSRV_STATUS_TIMED_OUT || map_result_lost(result);
}

static void complain_of(const struct map_result *result) {
        const struct fsrv_status *status = &result->status;
        char item[SHOWN_ITEM + sizeof "..."], name[32];

        cli_harmless(item, sizeof item, result->item->text);
        if (map_result_lost(result))
                cli_complain("map: '%s': not all of its output could be kept: %s", item,
                             strerror(map_result_lost(result)));
        bool died = result->has_status && (result->status.signal || result->status.flags & FSRV_STATUS_TIMED_OUT);
        if (!result->has_status || (result->has_failed && !died)) {
                char text[CLI_ERROR_TEXT_SIZE];
                cli_error_text(&result->error, text, sizeof text);
                cli_complain("map: '%s': %s", item, text);
        } else if (result->stopped)
                cli_complain("map: '%s': it was stopped because it wants the terminal (see --tty)", item);
        else if (status->flags & FSRV_STATUS_REFUSED)
                cli_complain("map: '%s': killed by its sandbox, which refuses the system call %s", item,
                             fsrv_syscall_name(status->refused_call));
        else if (status->flags & FSRV_STATUS_TIMED_OUT)
                cli_complain("map: '%s': %s after its time limit", item,
                             status->signal == SIGKILL ? "killed" : "ended");
        else if (status->signal)
                cli_complain("map: '%s': killed by %s%s", item, cli_signal_name(status->signal, name),
                             status->flags & FSRV_STATUS_CORE_DUMPED ? " (core dumped)" : "");
}

/* ---- which one failed ---- */

struct map_failure {
        unsigned long index;
        char item[SHOWN_ITEM + sizeof "..."];
        char how[96];
};

static void describe_failure(const struct map_result *result, char *text, size_t size) {
        const struct fsrv_status *status = &result->status;
        char name[32];

        if (!result->has_status)
                snprintf(text, size, "could not be started");
        else if (status->flags & FSRV_STATUS_TIMED_OUT)
                snprintf(text, size, "time limit");
        else if (status->signal)
                snprintf(text, size, "%s", cli_signal_name(status->signal, name));
        else if (status->exit_code && status->refused > 0)
                snprintf(text, size, "exit code %d; its sandbox has refused %s", status->exit_code,
                         fsrv_syscall_name(status->refused_call));
        else if (status->exit_code)
                snprintf(text, size, "exit code %d", status->exit_code);
        else if (result->has_failed)
                snprintf(text, size, "no result");
        else
                snprintf(text, size, "output lost");
}

void map_report_count(struct map_report *report, const struct map_result *result) {
        bool failed = map_result_is_failure(result);
        struct map_failure *first = report->first;

        map_progress_count(&report->progress, failed);
        if (!failed)
                return;
        report->untold += !is_worth_a_line(result);
        if (first && first->index < result->item->index)
                return;
        if (!first)
                first = report->first = malloc(sizeof *first);
        if (!first)
                return; /* it is named if there is memory for it */
        first->index = result->item->index;
        cli_harmless(first->item, sizeof first->item, result->item->text);
        describe_failure(result, first->how, sizeof first->how);
}

/* An exit code has no line of its own, as in other tools of this kind. But the summary names the first such item. */
static void complain_of_failures(const struct map_report *report) {
        const struct map_progress *progress = &report->progress;

        if (report->untold && report->first && !report->options->quiet)
                cli_complain("map: %lu of %lu items failed, the first: '%s' (%s)", progress->failed, progress->done,
                             report->first->item, report->first->how);
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

static void fail_to_write(struct map_report *report) {
        if (report->broken)
                return;
        report->broken = errno;
        cli_complain("map: cannot write %s: %s", report->options->json, strerror(report->broken));
}

/* A report that a later run goes on with is to outlive this node, and on a network file system a lack of room shows
 * only here. What comes when this was done just now is left to the kernel, which takes half a minute at most. */
static void sync_report(struct map_report *report) {
        if (report->options->resume && fdatasync(fileno(report->json)) < 0 && errno != EINVAL && errno != EROFS)
                fail_to_write(report); /* EINVAL, EROFS: a pipe or a device */
        report->synced = map_clock(CLOCK_MONOTONIC);
}

void map_report_write(struct map_report *report, const struct map_result *result) {
        if (!report->json || report->broken)
                return;
        map_json_write(report->json, report->options, result);
        if (fflush(report->json) != 0)
                fail_to_write(report);
        else if (map_clock(CLOCK_MONOTONIC) - report->synced >= SYNC_SECONDS)
                sync_report(report);
}

void map_report_result(struct map_report *report, const struct map_result *result) {
        bool speaks = is_worth_a_line(result);

        if (speaks || map_outputs_have_some(result->outputs))
                map_progress_clear(&report->progress);
        write_outputs(report, result->outputs);
        if (speaks)
                complain_of(result);
}

int map_report_done(struct map_report *report) {
        map_progress_clear(&report->progress);
        complain_of_failures(report);
        free(report->first);
        map_progress_done(&report->progress);
        if (report->json && !report->broken)
                sync_report(report);
        if (report->json && fclose(report->json) != 0)
                fail_to_write(report);
        return -report->broken;
}
