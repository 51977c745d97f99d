/* SPDX-License-Identifier: MIT */
#include "server/histogram.h"

const uint64_t fsrv__histogram_bounds[FSRV_HISTOGRAM_BOUNDS] = {
        25,    50,    100,    250,    500,     1000,     2500,     5000,      10000,
        25000, 50000, 100000, 250000, 1000000, 10000000, 60000000, 600000000, 3600000000,
};

void fsrv__histogram_add(struct fsrv__histogram *histogram, uint64_t us) {
        int i = 0;

        while (i < FSRV_HISTOGRAM_BOUNDS && us > fsrv__histogram_bounds[i])
                i++;
        histogram->counts[i]++;
        histogram->n++;
        histogram->sum_us += us;
}
