/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_STATE_H
#define FORKSERVER_CLI_MAP_STATE_H

/* All that a run of forkserver map is about. */

#include <stdbool.h>

#include "map.h"
#include "map_groups.h"
#include "map_late.h"
#include "map_room.h"
#include "map_schedule.h"
#include "trace.h"

struct map {
        const struct map_options *options;
        struct fsrv_server *server;
        struct map_setting setting;
        struct map_results results;
        struct map_items *items;
        struct map_signals signals;
        struct map_report report;
        struct cli_trace trace;
        struct map_schedule schedule;
        struct map_job *jobs;
        bool has_said_fewer;
        struct map_room room; /* all 0: not known yet */
        struct map_late late;
        struct map_result *waiting; /* ordered: ended before their turn, by index */
        unsigned long next_shown, running;
        int epoll;
        bool input_polled; /* a pipe, socket or terminal; a regular file is always ready */
        bool input_armed, input_ready, input_ended, stopping;
        unsigned killed; /* signals that were acted upon */
        double kill_at;  /* when what still runs is killed; 0: never */
        struct map_groups ending;
        int exit_code; /* of our own failure; 0: none */
};

/* ---- map_trace.c ---- */

/* --trace: of a job that has ended, or (error) could not be started. A trace that can't be written ends the run. */
void map_trace(struct map *m, struct map_job *job, const struct map_item *item, const struct map_result *result,
               const struct fsrv_error *error);

/* ---- map_state.c ---- */

/* Nothing more is started, and the run ends with this code, if it is the first. */
void map_stop_with(struct map *m, int code);
/* Sends a signal to all that runs, whole process groups. */
void map_signal_jobs(struct map *m, int signal);
/* Ends what runs, with time for it if there is a grace. */
void map_end_jobs(struct map *m, double grace);

/* ---- map_show.c ---- */

/* A result, which is taken over, comes out when it is its turn; or its item is tried again. */
void map_show(struct map *m, struct map_result *result);
/* An item, which is taken over, that could not be started. */
void map_show_unstarted(struct map *m, struct map_item *item, const struct fsrv_error *error);
/* An item, which is taken over, that isn't tried again: what its last try was, if there was one. */
void map_show_failed(struct map *m, struct map_item *item);
/* Drops the last try of an item, as its next one has begun. */
void map_forget_try(struct map *m, struct map_item *item);
/* At the end, shows items that wait for another try, or for an item that never comes. */
void map_show_rest(struct map *m);
/* Lets the lines of the next item that is shown come out as they come. */
void map_let_live(struct map *m, struct map_job *job);

/* ---- map_start.c ---- */

/* Starts as many as there are items and room for. */
void map_start_some(struct map *m);
bool map_has_room(const struct map *m);
bool map_wants_input(const struct map *m);

/* ---- map_loop.c ---- */

int map_loop_init(struct map *m);
/* Runs until all has ended that was started. */
void map_loop(struct map *m);

#endif
