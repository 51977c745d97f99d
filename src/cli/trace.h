/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_TRACE_H
#define FORKSERVER_CLI_TRACE_H

/* --trace FILE: what was done when, as Chrome's trace events, which Perfetto shows. A track is a job's slot; track 0 is
 * the server. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "forkserver.h"

struct cli_trace {
        const char *path; /* NULL: none is wanted, and all calls do nothing */
        int fd;
        int broken;    /* errno */
        int64_t began; /* ns */
        int64_t at;    /* where the next event goes; -1: into a pipe */
        bool is_first;
        char *text; /* events that aren't written yet */
        size_t size;
        FILE *out;
        unsigned long tracks; /* that have names */
};

/* Of one try of an item. All times are of cli_trace_now(). */
struct cli_trace_job {
        unsigned long track, tries; /* tries 0: there is one alone */
        int64_t taken, free, asked, started, ended;
        const char *item;
        pid_t pid;
        const struct fsrv_status *status; /* NULL: it is not known */
        const struct fsrv_error *error;   /* why it isn't; NULL: it is */
};

/* Opens the file. 0, or -errno with a complaint. */
int cli_trace_open(struct cli_trace *trace, const char *path);
int64_t cli_trace_now(void);
/* Starts the server, and waits until it is ready. 0, or -errno and *error. */
int cli_trace_server(struct cli_trace *trace, struct fsrv_server *server, struct fsrv_error *error);
void cli_trace_write(struct cli_trace *trace, const struct cli_trace_job *job);
/* 0, or -errno, after a complaint. */
int cli_trace_done(struct cli_trace *trace);

#endif
