/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_TRIAL_H
#define FSRV_ZYGOTE_TRIAL_H

/* The module of the preload list, if there is one, that an heir has to load. */

#include <stdint.h>

#include "forkserver-host.h"
#include "wire/config.h"
#include "zygote/heir.h"

/* Has an heir load the module. `started`: when the start of this zygote began. Returns in the heir too, 0, when it has
 * loaded the module. In the zygote 1: the heir is the zygote now; 0: it isn't, or not yet; -1: the server was told that
 * this zygote is of no use. */
int fsrv__trial_run(struct fsrv__heir *heir, int boot, int64_t started, const struct fsrv__config *config,
                    const struct fsrv_host *host);

#endif
