/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_room.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>

#include "cli.h"
#include "map_late.h"
#include "map_options.h"

enum {
        OURS = 20, /* what we have open besides: 14, and 4 more during a spawn */
        OF_SPAWN = 4,
        OF_PROCESS = 3, /* it, its pidfd, what is polled */
        OF_PIPES = 4,
        OF_FILES = 2, /* what came by the pipes, where that is much */
        OF_JOB = OF_PROCESS + OF_PIPES + OF_FILES,
        OF_RESULT = 4,
};

static unsigned long smaller(unsigned long a, unsigned long b) {
        return a < b ? a : b;
}

static int raise_limit(unsigned long wanted, unsigned long *ret_limit) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return -errno;
        if (limit.rlim_cur < wanted) {
                limit.rlim_cur = smaller(wanted, limit.rlim_max);
                setrlimit(RLIMIT_NOFILE, &limit);
                getrlimit(RLIMIT_NOFILE, &limit);
        }
        *ret_limit = limit.rlim_cur;
        return 0;
}

int map_room_make(struct map_room *room, unsigned long jobs, unsigned long inherited) {
        const unsigned long ours = OURS + inherited, ahead = 8 * jobs + 64;
        unsigned long limit = 0;
        int r = raise_limit(ours + OF_JOB * jobs + OF_RESULT * (MAP_LATE_MAX + ahead), &limit);

        if (r == 0 && limit < ours + OF_JOB)
                r = -EMFILE;
        if (r < 0) {
                cli_complain("map: a process needs %lu open files: %s (ulimit -n)", ours + OF_JOB, strerror(-r));
                return r;
        }
        room->ahead = ahead;
        room->jobs = smaller(jobs, (limit - ours) / OF_JOB);
        room->fd_max = (int)smaller(limit - 1 - OF_PROCESS - OF_SPAWN - OF_FILES * room->jobs, INT_MAX);
        if (room->jobs < jobs && jobs < MAP_JOBS_MAX) /* which is: as many as there is room for */
                cli_complain("map: %lu processes at a time, not %lu: no more than %lu files may be open (ulimit -n)",
                             room->jobs, jobs, limit);
        return 0;
}
