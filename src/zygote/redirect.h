/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_REDIRECT_H
#define FSRV_ZYGOTE_REDIRECT_H

#include "zygote/mappings.h"

/* The name in /proc/PID/maps by which frozen memory is known. */
#define FSRV_FROZEN_NAME "forkserver-frozen"

/* So that madvise(2) and mremap(2), called by what is loaded by now, do to frozen memory what they do to anonymous
 * memory: discarded pages read as zeros, what is added is zeros. To be called before these places, of which a copy is
 * kept, are frozen. NULL, or why it can't be done. */
const char *fsrv__redirect(const struct fsrv_run *places, size_t n);

#endif
