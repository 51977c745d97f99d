/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_CHECK_EXIT_H
#define FORKSERVER_CLI_CHECK_EXIT_H

/* How much it costs a process to end after modules were preloaded. */

#include <stdbool.h>

#include "forkserver.h"

enum check_exit_verdict {
        CHECK_EXIT_UNTRIED, /* `why` says why, if it was meant to be tried */
        CHECK_EXIT_GOOD,
        CHECK_EXIT_COSTLY, /* --quick-exit is worth it */
        CHECK_EXIT_RISKY,  /* the process doesn't end as it should; `why` says how */
        CHECK_EXIT_FAILS,  /* there can be no process; `why` */
};

struct check_cost {
        double us; /* of CPU time */
        double faults;
};

struct check_exit {
        enum check_exit_verdict verdict;
        struct check_cost plain, quick; /* medians of processes that do nothing */
        char why[FSRV_ERROR_TEXT_SIZE];
};

/* Lets processes of a server with these options end, with exit functions and destructors and without. */
void check_exit_try(const struct fsrv_server_options *options, struct check_exit *ret_trial);
void check_exit_print_text(const struct check_exit *trial);
/* As the last member of an object. */
void check_exit_print_json(const struct check_exit *trial);

#endif
