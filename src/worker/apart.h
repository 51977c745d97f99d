/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WORKER_APART_H
#define FSRV_WORKER_APART_H

/* Steps of a lock that standbys and workers take too (worker/lock.h); all by bare system calls. */

#include <stdint.h>

/* Drops all capabilities but some of the first 32, of which the process may have fewer. 1: it has some still; 0;
 * -errno.
 */
int fsrv__lock_keep_capabilities(uint32_t kept);
/* Lowers both limits of a resource to the value, if they are above it. 0 or -errno. */
int fsrv__lock_lower_limit(int resource, uint64_t value);

#endif
