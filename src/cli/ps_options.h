/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_PS_OPTIONS_H
#define FORKSERVER_CLI_PS_OPTIONS_H

/* What is asked of forkserver ps, and of forkserver top. */

#include <stdbool.h>

#include "cli.h"

enum ps_order {
        PS_BY_AGE, /* the oldest first */
        PS_BY_CPU, /* the most first, as in the next */
        PS_BY_MEMORY,
        PS_BY_PID,
};

struct ps_options {
        const char *command;
        const char *help;
        const char *path;
        uid_t server_uid;
        bool is_top;
        bool all;
        bool json;
        bool pss;
        uint32_t order;
        unsigned long count; /* 0: for ever */
        double interval;     /* seconds */
};

/* 0: do it; 1: the help was shown; negative: misuse, with a complaint. */
int ps_options_parse(int argc, char **argv, struct ps_options *options);

#endif
