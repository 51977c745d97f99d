/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker/worker.h"

/* The last in .bss (src/meson.build): all small variables, which a worker writes to as well, share a page with the beginning of it. */
struct fsrv_own fsrv_own;
