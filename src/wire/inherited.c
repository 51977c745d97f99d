/* SPDX-License-Identifier: MIT */
#include "wire/inherited.h"

struct fsrv_inherited fsrv_inherited = { .doorbell = -1, .lifeline = -1, .tracker = -1, .data = -1 };
