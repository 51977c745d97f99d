/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_schedule.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- the machine's load ---- */

/* The average of a minute, or how many run just now besides us, if that is more: what began is seen at once, and what
 * waits for disks is seen at all. -1: cannot be known. */
static double load_now(void) {
        FILE *file = fopen("/proc/loadavg", "re");
        double average, running;
        int n = file ? fscanf(file, "%lf %*f %*f %lf/", &average, &running) : 0;

        if (file)
                fclose(file);
        if (n != 2)
                return -1;
        return average > running - 1 ? average : running - 1;
}

static bool is_loaded(const struct map_schedule *schedule) {
        double lately = now() - schedule->last_second < 1 ? schedule->started_lately : 0;

        return load_now() + lately >= schedule->options->load;
}

/* ---- starts ---- */

int map_schedule_init(struct map_schedule *schedule, const struct map_options *options) {
        *schedule = (struct map_schedule){ .options = options };
        if (options->load > 0 && load_now() < 0) {
                cli_complain("map: --load: cannot read /proc/loadavg: %s", strerror(errno));
                return -EIO;
        }
        return 0;
}

double map_schedule_wait(struct map_schedule *schedule, unsigned long running) {
        const double again = 0.25;
        double left = schedule->not_before ? schedule->not_before - now() : 0;

        if (left > 0)
                return left;
        /* one always runs, lest we wait for ever on a machine that has always much to do */
        return running > 0 && schedule->options->load > 0 && is_loaded(schedule) ? again : 0;
}

void map_schedule_started(struct map_schedule *schedule) {
        double at = now();

        if (schedule->options->delay > 0)
                schedule->not_before = at + schedule->options->delay;
        if (at - schedule->last_second >= 1) {
                schedule->last_second = at;
                schedule->started_lately = 0;
        }
        schedule->started_lately++;
}

/* ---- failures ---- */

bool map_schedule_retries(const struct map_schedule *schedule, const struct map_item *item) {
        return item->tries < schedule->options->tries;
}

bool map_schedule_halts(const struct map_schedule *schedule, unsigned long done, unsigned long failed) {
        const struct map_halt *halt = &schedule->options->halt;
        enum { FEWEST = 3 }; /* before that many a part means little */

        if (halt->failures)
                return failed >= halt->failures;
        return halt->percent && failed >= FEWEST && (double)failed * 100 >= (double)halt->percent * (double)done;
}

/* ---- options ---- */

static const char *skip(const char *text, const char *prefix) {
        size_t n = strlen(prefix);

        return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

int map_parse_halt(const char *text, struct map_halt *ret_halt) {
        const char *rest = skip(text, "now"), *value;
        struct map_halt halt = { .now = rest, .failures = 1 };
        char *end = "";

        if (!rest && !(rest = skip(text, "soon")))
                rest = isdigit((unsigned char)*text) ? text : "?";
        else if (*rest == ',')
                rest = (value = skip(rest, ",fail=")) ? value : rest + 1;
        else if (!*rest)
                rest = "1";
        halt.failures = strtoul(rest, &end, 10);
        if (*end == '%' && !end[1] && halt.failures <= 100) {
                halt.percent = halt.failures;
                halt.failures = 0;
                end++;
        }
        if (!isdigit((unsigned char)*rest) || *end || halt.failures + halt.percent == 0 || halt.failures > 1000000000) {
                cli_complain(
                        "--halt: '%s' is none of 'soon,fail=3' (start nothing new after 3 failures), 'now,fail=1' (end "
                        "what runs as well), 'soon,fail=20%%', and 3, which is 'soon,fail=3'",
                        text);
                return -EINVAL;
        }
        *ret_halt = halt;
        return 0;
}

int map_parse_load(const char *text, double *ret_load) {
        char *end;
        double load = strtod(text, &end);

        if (end == text + strspn(text, "0123456789.") && end[0] == '%' && !end[1])
                load *= (double)map_cpus() / 100;
        else if (end != text + strspn(text, "0123456789.") || *end)
                load = 0;
        if (load <= 0) {
                cli_complain("--load: '%s' is neither a number above 0 nor a part of the CPUs, as 80%%", text);
                return -EINVAL;
        }
        *ret_load = load;
        return 0;
}
