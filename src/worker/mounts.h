/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WORKER_MOUNTS_H
#define FSRV_WORKER_MOUNTS_H

#include "forkserver.h"
#include "wire/sandbox_codec.h"

/* Makes the sandbox's mounts, and enters its new root if it has one. Needs a mount namespace of the process's own, and
 * no landlock domain: that forbids mounting. 0; -errno and *error, which names the mount. */
int fsrv__mounts_make(const struct fsrv__sandbox_parts *sandbox, struct fsrv_error *error);

#endif
