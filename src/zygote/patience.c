/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/clock.h"
#include "zygote/zygote.h"

static int64_t loaded_by;

void fsrv__zygote_set_limit(int64_t limit_ms) {
        loaded_by = fsrv__deadline(limit_ms);
}

int64_t fsrv__zygote_patience(void) {
        int64_t left = loaded_by - fsrv__now();

        return left > 0 ? left / 2 : 0;
}
