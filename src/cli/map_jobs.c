/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_options.h"

#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

/* 0: Slurm says nothing, or we aren't below it. */
static long allocated(const char *name) {
        const char *text = getenv(name);
        char *end;
        long n = text && isdigit((unsigned char)*text) ? strtol(text, &end, 10) : 0;

        return n > 0 && !*end ? n : 0;
}

/* The mask alone is of the whole machine, where Slurm has no plugin that binds tasks to CPUs. */
unsigned long map_cpus(void) {
        cpu_set_t cpus;
        long n = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : sysconf(_SC_NPROCESSORS_ONLN);
        long ours = allocated("SLURM_CPUS_PER_TASK");

        if (!ours)
                ours = allocated("SLURM_CPUS_ON_NODE");
        if (ours && ours < n)
                n = ours;
        return n > 0 ? (unsigned long)n : 1;
}

static unsigned long within_limits(double jobs) {
        if (jobs < 1)
                return 1;
        return jobs > MAP_JOBS_MAX ? MAP_JOBS_MAX : (unsigned long)jobs;
}

int map_parse_jobs(const char *text, unsigned long *ret_jobs) {
        const char *digits = text + (*text == '+' || *text == '-');
        char *end;
        unsigned long number = strtoul(digits, &end, 10);
        double cpus = (double)map_cpus();

        if (!isdigit((unsigned char)*digits) || number > MAP_JOBS_MAX)
                end = "?";
        if (!*end && *text == '+')
                *ret_jobs = within_limits(cpus + (double)number);
        else if (!*end && *text == '-')
                *ret_jobs = within_limits(cpus - (double)number);
        else if (!*end)
                *ret_jobs = number ? number : MAP_JOBS_MAX; /* what there is room for shows */
        else if (end[0] == '%' && !end[1] && digits == text && number > 0)
                *ret_jobs = within_limits(cpus * (double)number / 100 + 0.5);
        else {
                cli_complain(
                        "--jobs: '%s' is not a number up to %d, 50%% (of the CPUs), +2 or -2 (more or fewer than "
                        "CPUs), or 0 (as many as possible)",
                        text, MAP_JOBS_MAX);
                return -EINVAL;
        }
        return 0;
}
