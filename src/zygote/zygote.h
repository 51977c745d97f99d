/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_ZYGOTE_H
#define FSRV_ZYGOTE_ZYGOTE_H

#include "forkserver-host.h"

/* Turns this process into a zygote: it receives its configuration on `boot`, loads the modules by means of `host`, and
 * forks standbys until the server is gone. Returns in the zygote only: an exit code. */
int fsrv__zygote_run(int boot, const struct fsrv_host *host);

#endif
