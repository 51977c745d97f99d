/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_PRELOAD_H
#define FSRV_ZYGOTE_PRELOAD_H

/* Loading what the preload list names, and what becomes of modules that cannot be loaded or leave threads. */

#include <stdbool.h>

#include "forkserver-host.h"
#include "wire/config.h"

/* Both return 0, or -1 after the server was told that this zygote is of no use. */
int fsrv__preload(int boot, const struct fsrv__config *config, const struct fsrv_host *host);
int fsrv__preload_check_threads(int boot, const struct fsrv__config *config, const struct fsrv_host *host);

/* Whether the host wants the module to be loaded by an heir (trial.h). */
bool fsrv__preload_is_tried(const char *module, const struct fsrv_host *host);

#endif
