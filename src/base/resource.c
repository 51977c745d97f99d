/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/resource.h"

#include <stddef.h>
#include <strings.h>
#include <sys/resource.h>

static const char *const names[] = {
        [RLIMIT_AS] = "AS",           [RLIMIT_CORE] = "CORE",         [RLIMIT_CPU] = "CPU",
        [RLIMIT_DATA] = "DATA",       [RLIMIT_FSIZE] = "FSIZE",       [RLIMIT_LOCKS] = "LOCKS",
        [RLIMIT_MEMLOCK] = "MEMLOCK", [RLIMIT_MSGQUEUE] = "MSGQUEUE", [RLIMIT_NICE] = "NICE",
        [RLIMIT_NOFILE] = "NOFILE",   [RLIMIT_NPROC] = "NPROC",       [RLIMIT_RSS] = "RSS",
        [RLIMIT_RTPRIO] = "RTPRIO",   [RLIMIT_RTTIME] = "RTTIME",     [RLIMIT_SIGPENDING] = "SIGPENDING",
        [RLIMIT_STACK] = "STACK",
};

enum { N_NAMES = sizeof names / sizeof *names };

const char *fsrv__resource_name(int number) {
        return number >= 0 && number < N_NAMES ? names[number] : NULL;
}

int fsrv__resource_number(const char *name) {
        if (strncasecmp(name, "RLIMIT_", 7) == 0)
                name += 7;
        for (int i = 0; i < N_NAMES; i++)
                if (strcasecmp(name, names[i]) == 0)
                        return i;
        return -1;
}
