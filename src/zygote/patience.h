/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_PATIENCE_H
#define FSRV_ZYGOTE_PATIENCE_H

#include <stdint.h>

/* How long the server waits for all modules to be loaded, from now on. */
void fsrv__patience_set(int64_t limit_ms);
/* How many ms a helper may take while they are loaded: half of what is left. */
int64_t fsrv__patience_left(void);

#endif
