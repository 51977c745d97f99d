/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WORKER_LOCK_LIMITS_H
#define FSRV_WORKER_LOCK_LIMITS_H

/* Limits of resources (setrlimit(2)) that a sandbox has. */

#include <stdint.h>

#include "forkserver.h"
#include "wire/sandbox_codec.h"

struct fsrv__memory_use {
        uint64_t mapped, data; /* bytes; 0: /proc cannot tell */
};

void fsrv__lock_measure(struct fsrv__memory_use *ret_use);
/* Sets those that may hold for a zygote; *ret_late: bits of those that may not. 0; -errno and *error. */
int fsrv__lock_set_limits(const struct fsrv__sandbox_parts *sandbox, const struct fsrv__memory_use *use,
                          uint32_t *ret_late, struct fsrv_error *error);

#endif
