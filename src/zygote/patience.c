/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/patience.h"

#include "base/clock.h"

static int64_t loaded_by;

void fsrv__patience_set(int64_t limit_ms) {
        loaded_by = fsrv__deadline(limit_ms);
}

int64_t fsrv__patience_left(void) {
        int64_t left = loaded_by - fsrv__now();

        return left > 0 ? left / 2 : 0;
}
