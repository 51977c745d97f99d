/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "check_exit.h"

#include <errno.h>
#include <gnu/lib-names.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "text.h"

enum { TRIES = 15, LIMIT_MS = 10000 };

/* A function of the C library that does nothing and returns 0. */
static const char nothing[] = LIBC_SO ":sched_yield";

/* From here on the cost shows beside what a process costs anyway. */
static const double worthwhile_us = 200, worthwhile_faults = 50;

/* ---- trying ---- */

static int compare(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static double median(double *values) {
        qsort(values, TRIES, sizeof *values, compare);
        return values[TRIES / 2];
}

static double microseconds(const struct timeval *time) {
        return (double)time->tv_sec * 1e6 + (double)time->tv_usec;
}

static int fill_request(struct fsrv_request *request, uint32_t flags) {
        int r;

        if ((r = fsrv_request_set_entry(request, nothing)) < 0 ||
            (r = fsrv_request_set_argv(request, (const char *const[]){ nothing, NULL })) < 0 ||
            (r = fsrv_request_add_dup2(request, STDERR_FILENO, STDOUT_FILENO)) < 0 || /* ours is for the report */
            (r = fsrv_request_set_time_limit(request, LIMIT_MS, 0)) < 0)
                return r;
        return fsrv_request_set_flags(request, FSRV_SPAWN_KILL_ON_CLOSE | flags);
}

/* An end by a signal or by the limit is a risk. A module's exit function may change the exit code as it likes.
 */
static void judge_end(const struct fsrv_status *status, struct check_exit *trial) {
        char name[32];

        if (!status->signal || trial->verdict == CHECK_EXIT_RISKY)
                return;
        trial->verdict = CHECK_EXIT_RISKY;
        if (status->flags & FSRV_STATUS_TIMED_OUT)
                snprintf(trial->why, sizeof trial->why, "doesn't end within %d s", LIMIT_MS / 1000);
        else
                snprintf(trial->why, sizeof trial->why, "is killed by %s", cli_signal_name(status->signal, name));
}

/* Measures the median cost, so that another process that wakes in between doesn't count. */
static int measure(struct fsrv_server *server, const struct fsrv_request *request, struct check_cost *ret_cost,
                   struct check_exit *trial, struct fsrv_error *error) {
        struct fsrv_status status = { .size = sizeof status };
        double us[TRIES], faults[TRIES];

        for (int i = 0; i < TRIES; i++) {
                int r = fsrv_run(server, request, &status, error);
                if (r < 0)
                        return r;
                judge_end(&status, trial);
                if (trial->verdict == CHECK_EXIT_RISKY)
                        return 0;
                us[i] = microseconds(&status.rusage.ru_utime) + microseconds(&status.rusage.ru_stime);
                faults[i] = (double)status.rusage.ru_minflt;
        }
        *ret_cost = (struct check_cost){ median(us), median(faults) };
        return 0;
}

static int try_both(struct fsrv_server *server, struct check_exit *trial, struct fsrv_error *error) {
        struct fsrv_request *plain = NULL, *quick = NULL;
        int r;

        if ((r = fsrv_request_new(&plain)) < 0 || (r = fsrv_request_new(&quick)) < 0 ||
            (r = fill_request(plain, 0)) < 0 || (r = fill_request(quick, FSRV_SPAWN_QUICK_EXIT)) < 0)
                cli_fail(error, FSRV_STAGE_ARGUMENT, -r, "cannot prepare a process");
        else if ((r = measure(server, plain, &trial->plain, trial, error)) == 0 && trial->verdict != CHECK_EXIT_RISKY)
                r = measure(server, quick, &trial->quick, trial, error);
        fsrv_request_free(plain);
        fsrv_request_free(quick);
        return r;
}

void check_exit_try(const struct fsrv_server_options *options, struct check_exit *ret_trial) {
        struct fsrv_server_options ours = *options;
        struct fsrv_server *server = NULL;
        struct fsrv_error error = { 0 };

        *ret_trial = (struct check_exit){ .verdict = CHECK_EXIT_GOOD };
        ours.thread_policy = FSRV_PRELOAD_IGNORE; /* told already */
        int r = fsrv_server_new(&ours, &server, &error);
        if (r == 0)
                r = try_both(server, ret_trial, &error);
        fsrv_server_free(server);
        if (r < 0) {
                bool forks = error.stage != FSRV_STAGE_FORK && error.stage != FSRV_STAGE_SETUP;
                ret_trial->verdict = forks ? CHECK_EXIT_UNTRIED : CHECK_EXIT_FAILS;
                cli_harmless(ret_trial->why, sizeof ret_trial->why, error.text);
        } else if (ret_trial->verdict == CHECK_EXIT_GOOD &&
                   (ret_trial->plain.us - ret_trial->quick.us >= worthwhile_us ||
                    ret_trial->plain.faults - ret_trial->quick.faults >= worthwhile_faults))
                ret_trial->verdict = CHECK_EXIT_COSTLY;
}

/* ---- telling ---- */

static void print_cost(const struct check_exit *trial) {
        printf("A process that does nothing but end takes %.0f us of CPU time and %.0f page faults; %.0f us and %.0f "
               "with "
               "--quick-exit.\n",
               trial->plain.us, trial->plain.faults, trial->quick.us, trial->quick.faults);
}

void check_exit_print_text(const struct check_exit *trial) {
        if (trial->verdict == CHECK_EXIT_UNTRIED) {
                if (trial->why[0])
                        printf("How a process ends was not tried: %s.\n", trial->why);
                return;
        }
        if (trial->verdict == CHECK_EXIT_FAILS) {
                printf("fails: with all of them loaded no process can be made: %s\n", trial->why);
                return;
        }
        if (trial->verdict == CHECK_EXIT_RISKY)
                printf("risky: a process that does nothing but end %s, in the modules' exit functions or destructors; "
                       "--quick-exit leaves them out.\n",
                       trial->why);
        else
                print_cost(trial);
        if (trial->verdict == CHECK_EXIT_COSTLY)
                printf("--quick-exit is recommended: the modules' exit functions and destructors (of C++ static "
                       "objects) take "
                       "the rest, in each process.\n");
        puts("Tried: loading, forking, a process that ends. Not tried: the modules' functions in such a process.");
}

void check_exit_print_json(const struct check_exit *trial) {
        static const char *const verdicts[] = { "untried", "good", "costly", "risky", "fails" };

        printf(",\"exit\":{\"verdict\":\"%s\",\"cpu_us\":%.0f,\"faults\":%.0f,\"quick_cpu_us\":%.0f,\"quick_faults\":%."
               "0f,"
               "\"why\":",
               verdicts[trial->verdict], trial->plain.us, trial->plain.faults, trial->quick.us, trial->quick.faults);
        cli_json_string(stdout, trial->why);
        putchar('}');
}
