/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_state.h"

#include <stdlib.h>
#include <time.h>

void map_let_live(struct map *m, struct map_job *job) {
        if (m->options->line_buffer && job->outputs && (!m->options->ordered || job->item->index == m->next_shown))
                map_report_check(&m->report, map_outputs_set_live(job->outputs));
}

static void let_next_live(struct map *m) {
        for (unsigned long i = 0; m->options->line_buffer && m->options->ordered && i < m->room.jobs; i++)
                if (m->jobs[i].running)
                        map_let_live(m, &m->jobs[i]);
}

/* Outputs stay open that a process which the item left behind still holds. */
static void keep_late(struct map *m, struct map_result *result) {
        if (!result->outputs || !map_outputs_are_open(result->outputs))
                return;
        map_late_add(&m->late, result->outputs);
        result->outputs = NULL;
}

static void show_now(struct map *m, struct map_result *result) {
        map_signals_set_busy(true);
        map_report_result(&m->report, result);
        if (!m->options->ordered)
                map_report_write(&m->report, result);
        keep_late(m, result);
        map_result_free(result);
        m->next_shown++;
        let_next_live(m);
        map_signals_set_busy(false);
        if (m->report.broken)
                map_stop_with(m, CLI_EXIT_OURS);
}

static void show_waiting(struct map *m, bool in_turn) {
        while (m->waiting && (!in_turn || m->waiting->item->index == m->next_shown)) {
                struct map_result *result = m->waiting;
                m->waiting = result->next;
                show_now(m, result);
        }
}

/* With --ungroup items find out for themselves that the reader has gone; we end for it as if we had written. */
static void end_if_unread(const struct map *m) {
        if (m->options->ungroup && map_output_is_unread())
                raise(SIGPIPE);
}

static void halt(struct map *m) {
        m->stopping = true;
        if (m->options->halt.now)
                map_end_jobs(m, m->options->target.kill_after);
}

static bool wants_retry(const struct map *m, const struct map_result *result) {
        return !m->stopping && map_result_is_failure(result) && map_schedule_retries(&m->schedule, result->item);
}

/* It is the item's result if no other try comes. */
static void retry(struct map *m, struct map_result *result) {
        struct map_item *item = result->item;

        result->item = NULL;
        item->failed = result;
        map_items_give_back(m->items, item);
}

/* What the failed try printed is not shown, but for what has been shown already. */
void map_forget_try(struct map *m, struct map_item *item) {
        if (!item->failed)
                return;
        keep_late(m, item->failed);
        map_result_free(item->failed);
        item->failed = NULL;
}

/* Only what it printed waits: the report tells at once what has been done. */
static void wait_for_turn(struct map *m, struct map_result *result) {
        struct map_result **at = &m->waiting;

        map_signals_set_busy(true);
        map_report_write(&m->report, result);
        map_signals_set_busy(false);
        if (m->report.broken)
                map_stop_with(m, CLI_EXIT_OURS);
        while (*at && (*at)->item->index < result->item->index)
                at = &(*at)->next;
        result->next = *at;
        *at = result;
}

void map_show(struct map *m, struct map_result *result) {
        if (wants_retry(m, result)) {
                retry(m, result);
                return;
        }
        map_report_count(&m->report, result);
        if (!m->stopping && map_schedule_halts(&m->schedule, m->report.progress.done, m->report.progress.failed))
                halt(m);
        if (map_result_is_failure(result))
                end_if_unread(m);
        if (!m->options->ordered) {
                show_now(m, result);
                return;
        }
        wait_for_turn(m, result);
        show_waiting(m, true);
}

void map_show_unstarted(struct map *m, struct map_item *item, const struct fsrv_error *error) {
        struct map_result *result = calloc(1, sizeof *result);

        map_forget_try(m, item);
        item->tries++;
        if (!result) {
                cli_complain("map: out of memory");
                map_item_free(item);
                map_stop_with(m, CLI_EXIT_OURS);
                return;
        }
        *result = (struct map_result){ .item = item, .error = *error };
        result->started = result->ended = map_clock(CLOCK_REALTIME);
        map_show(m, result);
}

void map_show_failed(struct map *m, struct map_item *item) {
        struct map_result *result = item->failed;

        if (!result) {
                map_item_free(item);
                return;
        }
        item->failed = NULL;
        result->item = item;
        map_show(m, result);
}

void map_show_rest(struct map *m) {
        m->stopping = true;
        for (struct map_item *item; m->items->given_back && map_items_take(m->items, &item) == 1;)
                map_show_failed(m, item);
        show_waiting(m, false);
}
