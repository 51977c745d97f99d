/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_state.h"

void map_trace(struct map *m, struct map_job *job, const struct map_item *item, const struct map_result *result,
               const struct fsrv_error *error) {
        struct cli_trace_job traced = {
                .track = job->slot,
                .taken = item->took,
                .free = job->free,
                .asked = job->asked,
                .started = result ? job->began : 0,
                .ended = cli_trace_now(),
                .tries = m->options->tries > 1 ? item->tries : 0,
                .item = item->text,
                .pid = result ? result->pid : 0,
                .status = result && result->has_status ? &result->status : NULL,
                .error = error,
        };

        job->free = traced.ended;
        if (result && (!result->has_status || result->has_failed))
                traced.error = &result->error;
        cli_trace_write(&m->trace, &traced);
        if (m->trace.broken)
                map_stop_with(m, CLI_EXIT_OURS);
}
