/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_OPTIONS_H
#define FORKSERVER_CLI_MAP_OPTIONS_H

/* What is asked of forkserver map. */

#include <stdbool.h>
#include <stddef.h>

#include "cli.h"
#include "map_slice.h"

enum { MAP_JOBS_MAX = 10000 };

/* Where values come from, other than standard input: the words behind a ':::', or a file. */
struct map_source {
        const char *file; /* NULL: words */
        char **words;
        size_t n;
};

/* After how many failures nothing is started any more. */
struct map_halt {
        bool now;               /* what runs is ended, too */
        unsigned long failures; /* 0: percent; both 0: never */
        unsigned long percent;  /* of what has ended */
};

struct map_options {
        struct cli_target target;
        char **args;    /* of the program, or of the entry point; NULL-terminated */
        bool has_place; /* the item stands in one of them, so it isn't added behind them */
        struct map_source *sources;
        size_t n_sources;
        unsigned long jobs;
        unsigned long max_values; /* in one process */
        bool fill;                /* as many as its arguments have room for */
        struct map_slice slice;
        struct map_halt halt;
        unsigned long tries; /* of an item that fails */
        double delay;        /* seconds between starts */
        double load;         /* of the machine, above which nothing is started; 0: any */
        char separator;
        const char *json;
        bool resume;        /* what it says */
        bool to_stdin;      /* the item is its process's standard input, not an argument */
        bool to_payload;    /* the item is the entry point's payload, not an argument */
        bool is_read;       /* it is one of these */
        const char *result; /* the directory for results; NULL: none are wanted */
        size_t block;       /* it is a block of the input of about this size; 0: it isn't */
        bool ordered, tag, dry_run, verbose, pipe, ungroup, progress, quiet, line_buffer, tty;
};

/* 0: go on; 1: help was asked for; -EINVAL with a complaint. To be given to map_options_done() in any case. */
int map_options_parse(struct map_options *options, int argc, char **argv);
void map_options_done(struct map_options *options);
/* An item can have several values. */
bool map_options_has_lists(const struct map_options *options);

/* ---- map_help.c ---- */

extern const char map_help[];
/* A hint for users of xargs(1) and parallel(1): what is here instead of their option; NULL: nothing that we know. */
const char *map_hint(const char *option);

/* ---- map_jobs.c ---- */

/* --jobs: a number, a part of the CPUs ("50%"), more or less than those ("+2", "-1"), or as many as possible ("0"). */
int map_parse_jobs(const char *text, unsigned long *ret_jobs);
/* CPUs that this process may use. */
unsigned long map_cpus(void);

#endif
