/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_options.h"

#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

unsigned long map_cpus(void) {
        cpu_set_t cpus;
        long n = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : sysconf(_SC_NPROCESSORS_ONLN);

        return n > 0 ? (unsigned long)n : 1;
}

/* As many as open files allow: each process takes some of ours. */
static unsigned long most_jobs(void) {
        enum { OURS = 512, OF_JOB = 16 };
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < OURS + OF_JOB * map_cpus())
                return map_cpus();
        limit.rlim_max = (limit.rlim_max - OURS) / OF_JOB;
        return limit.rlim_max < MAP_JOBS_MAX ? (unsigned long)limit.rlim_max : MAP_JOBS_MAX;
}

static unsigned long within_limits(double jobs) {
        return jobs < 1 ? 1 : jobs > MAP_JOBS_MAX ? MAP_JOBS_MAX : (unsigned long)jobs;
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
                *ret_jobs = number ? number : most_jobs();
        else if (end[0] == '%' && !end[1] && digits == text && number > 0)
                *ret_jobs = within_limits(cpus * (double)number / 100 + 0.5);
        else {
                cli_complain(
                        "--jobs: '%s' is none of a whole number up to %d, 50%% (of the CPUs), +2 or -2 (than CPUs) "
                        "and 0 (as many as possible)",
                        text, MAP_JOBS_MAX);
                return -EINVAL;
        }
        return 0;
}
