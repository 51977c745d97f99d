/* SPDX-License-Identifier: MIT */
#include "wire/inherited.h"

#include "base/layout.h"

FSRV__WORKER_VARIABLE struct fsrv__inherited fsrv__inherited = {
        .doorbell = -1, .lifeline = -1, .tracker = -1, .data = -1, .result = -1
};
