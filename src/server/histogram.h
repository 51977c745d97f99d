/* SPDX-License-Identifier: MIT */
#ifndef FSRV_SERVER_HISTOGRAM_H
#define FSRV_SERVER_HISTOGRAM_H

#include <stdint.h>

/* How often something took how long. */

enum { FSRV_HISTOGRAM_BOUNDS = 18 };

struct fsrv__histogram {
        uint64_t counts[FSRV_HISTOGRAM_BOUNDS + 1]; /* the last one: longer than all bounds */
        uint64_t n, sum_us;
};

/* The upper bounds, in microseconds. */
extern const uint64_t fsrv__histogram_bounds[FSRV_HISTOGRAM_BOUNDS];

void fsrv__histogram_add(struct fsrv__histogram *histogram, uint64_t us);

#endif
