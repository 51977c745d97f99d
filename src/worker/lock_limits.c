/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker/lock_limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "worker/apart.h"

static const char *const names[FSRV_SANDBOX_LIMITS] = {
        [RLIMIT_CPU] = "CPU",           [RLIMIT_FSIZE] = "FSIZE",
        [RLIMIT_DATA] = "DATA",         [RLIMIT_STACK] = "STACK",
        [RLIMIT_CORE] = "CORE",         [RLIMIT_RSS] = "RSS",
        [RLIMIT_NPROC] = "NPROC",       [RLIMIT_NOFILE] = "NOFILE",
        [RLIMIT_MEMLOCK] = "MEMLOCK",   [RLIMIT_AS] = "AS",
        [RLIMIT_LOCKS] = "LOCKS",       [RLIMIT_SIGPENDING] = "SIGPENDING",
        [RLIMIT_MSGQUEUE] = "MSGQUEUE", [RLIMIT_NICE] = "NICE",
        [RLIMIT_RTPRIO] = "RTPRIO",     [RLIMIT_RTTIME] = "RTTIME",
};

/* A zygote would use up the time of its children, and its fork would count the processes that its user has. And where a
 * user has many fds in flight, a process with a low limit can send none: fsrv__limits_end(). */
enum { LATE = 1 << RLIMIT_CPU | 1 << RLIMIT_NPROC | 1 << RLIMIT_NOFILE };

/* Pages in all, and behind four other fields those of data and stack. */
void fsrv__lock_measure(struct fsrv__memory_use *ret_use) {
        FSRV_CLEANUP_FD int fd = fsrv__open("/proc/self/statm", O_RDONLY);
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        char text[128];
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

        text[n < 0 ? 0 : n] = 0;
        char *at = text;
        ret_use->mapped = strtoull(at, &at, 10) * page;
        for (int i = 0; i < 4; i++)
                strtoull(at, &at, 10);
        ret_use->data = strtoull(at, &at, 10) * page;
}

static int set_limit(const struct fsrv__wire_sandbox *head, int resource, const struct fsrv__memory_use *use,
                     struct fsrv_error *error) {
        uint64_t value = head->limit[resource];

        if (head->limits_above >> resource & 1) {
                uint64_t in_use = resource == RLIMIT_AS ? use->mapped : use->data;
                if (in_use == 0)
                        return fsrv__fail_text(error, FSRV_STAGE_SANDBOX, ENOENT,
                                               "RLIMIT_%s: /proc doesn't tell how much memory is in use",
                                               names[resource]);
                value = value > UINT64_MAX - in_use ? UINT64_MAX : value + in_use;
        }
        int r = fsrv__lock_lower_limit(resource, value);
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_SANDBOX, -r, "RLIMIT_%s to %llu", names[resource],
                                  (unsigned long long)value)
                     : 0;
}

int fsrv__lock_set_limits(const struct fsrv__sandbox_parts *sandbox, const struct fsrv__memory_use *use,
                          uint32_t *ret_late, struct fsrv_error *error) {
        uint32_t limits = sandbox->head.limits;
        int r = 0;

        *ret_late = limits & LATE;
        for (int i = 0; i < FSRV_SANDBOX_LIMITS && r == 0; i++)
                if ((limits & ~(uint32_t)LATE) >> i & 1)
                        r = set_limit(&sandbox->head, i, use, error);
        return r;
}
