/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_H
#define FORKSERVER_CLI_MAP_H

/* forkserver map: one process for each item of a list. */

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "cli.h"
#include "map_arguments.h"
#include "map_item.h"
#include "map_items.h"
#include "map_options.h"
#include "map_output.h"
#include "map_progress.h"
#include "map_results.h"

/* ---- map_signals.c: INT, TERM, HUP, TSTP ---- */

struct map_signals {
        sigset_t mask, ignored; /* as we found them: what items get */
        int fd;                 /* readable when a signal has come */
};

int map_signals_init(struct map_signals *signals, unsigned long jobs);
void map_signals_done(struct map_signals *signals);
/* How many came; map_signals_first(): which one was the first. */
int map_signals_count(void);
int map_signals_first(void);
/* Set it around calls that may take long. If a second signal comes meanwhile and the call doesn't return soon, the
 * signal ends us, and all items end with us. */
void map_signals_set_busy(bool busy);

/* The process group that is stopped and continued with us; 0: none. */
void map_signals_set_group(unsigned long slot, pid_t group);
/* A stop waits, while a group begins that we can't name yet. */
void map_signals_hold_stops(bool hold);

/* ---- map_job.c: one item's process ---- */

/* What is the same for all items. */
struct map_setting {
        const struct map_options *options;
        const struct map_signals *signals;
        struct fsrv_server *server;
        struct map_results *results;
        struct cli_inherited inherited;
        mode_t umask; /* the library would look it up in /proc each time */
        int null;     /* standard input of the items */
        int fd_max;   /* for their pipes */
};

struct map_job {
        enum map_event event;
        unsigned long slot; /* from 1 */
        bool running;
        struct map_item *item;
        struct fsrv_process *process;
        struct map_outputs *outputs; /* NULL with --ungroup */
        bool stopped;                /* it stopped because it wants the terminal, and is killed for it */
        double started;
        int64_t free, asked, began; /* for --trace: the slot was free, the process was asked for, it had started */
};

/* What became of an item; owns what it holds. */
struct map_result {
        struct map_item *item;
        struct map_outputs *outputs; /* NULL: none */
        double started, ended;
        pid_t pid;
        bool has_status, stopped;
        struct fsrv_status status;
        bool has_failed;         /* it has ended, and there is no result, or that could not be kept */
        struct fsrv_error error; /* if has_failed, and unless has_status */
        int failure;             /* the code of fsrv_worker_fail(), if has_failed by that; 0: by something else */
        struct map_result *next;
};

void map_job_done(struct map_job *job);
/* Starts the item, which stays the caller's on failure. The fd to poll, or -errno and *error. */
int map_job_start(struct map_job *job, const struct map_setting *setting, struct map_item *item,
                  struct fsrv_error *error);
/* 1 and the result when the process has ended; 0 while it lives; -errno with a complaint. */
int map_job_finish(struct map_job *job, const struct map_setting *setting, struct map_result **ret_result);
/* Sends a signal to the item and the processes in its group. */
void map_job_signal(struct map_job *job, int signal);

/* errno if not all of its output could be kept, else 0. */
int map_result_lost(const struct map_result *result);
bool map_result_is_failure(const struct map_result *result);
void map_result_free(struct map_result *result);
double map_clock(clockid_t clock);

/* ---- map_report.c: what is said of results ---- */

struct map_report {
        const struct map_options *options;
        FILE *json;
        double synced; /* when it was put on the disk, with --resume */
        struct map_progress progress;
        unsigned long untold;      /* failures without a line of their own */
        struct map_failure *first; /* by the items' order */
        int broken;                /* errno of an output that could not be written */
};

int map_report_init(struct map_report *report, const struct map_options *options);
/* Counts an item that has ended, whether or not it is its turn. */
void map_report_count(struct map_report *report, const struct map_result *result);
/* Writes the JSON line at once: for readers that follow, and so that all that was done is there if we are killed. */
void map_report_write(struct map_report *report, const struct map_result *result);
/* Writes the outputs and what is to be said, when it is the result's turn. */
void map_report_result(struct map_report *report, const struct map_result *result);
/* Takes the result of writing an output: below 0 there is no use in going on. */
void map_report_check(struct map_report *report, int r);
/* The summary; closes the JSON file. 0 or -errno with a complaint. */
int map_report_done(struct map_report *report);

/* ---- map_loop.c: starting, waiting, showing ---- */

/* Runs all items; the exit code. */
int map_run(const struct map_options *options, struct map_items *items);

#endif
