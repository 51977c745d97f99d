/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WORKER_NAMESPACES_H
#define FSRV_WORKER_NAMESPACES_H

#include "forkserver.h"
#include "wire/sandbox_codec.h"

/* Makes the sandbox's namespaces, and that of its mounts; where that takes privileges that the process lacks, in a user
 * namespace that has its own uid and gid alone. 0; -errno and *error, which names the namespaces. */
int fsrv__namespaces_make(const struct fsrv__sandbox_parts *sandbox, struct fsrv_error *error);

#endif
