/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_SCHEDULE_H
#define FORKSERVER_CLI_MAP_SCHEDULE_H

/* When an item may start, whether it is tried again, and when failures are too many: --delay, --load, --retries,
 * --halt. */

#include <stdbool.h>

#include "map_item.h"
#include "map_options.h"

struct map_schedule {
        const struct map_options *options;
        double not_before; /* the next start; 0: any time */
        double last_second;
        unsigned started_lately; /* since then; the load doesn't know of them yet */
};

/* 0, or -errno with a complaint. */
int map_schedule_init(struct map_schedule *schedule, const struct map_options *options);
/* Seconds until an item may be started or the question put again; 0: at once. */
double map_schedule_wait(struct map_schedule *schedule, unsigned long running);
void map_schedule_started(struct map_schedule *schedule);
/* Whether an item is to be tried once more after its process failed. */
bool map_schedule_retries(const struct map_schedule *schedule, const struct map_item *item);
bool map_schedule_halts(const struct map_schedule *schedule, unsigned long done, unsigned long failed);

/* The arguments of --halt and --load. 0, or -EINVAL with a complaint. */
int map_parse_halt(const char *text, struct map_halt *ret_halt);
int map_parse_load(const char *text, double *ret_load);

#endif
