/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WORKER_NAMESPACES_H
#define FSRV_WORKER_NAMESPACES_H

#include <stdbool.h>

#include "forkserver.h"
#include "wire/sandbox_codec.h"

/* Makes the sandbox's namespaces, and that of its mounts; where that takes privileges that the process lacks, in a user
 * namespace that has its own uid and gid alone; then *drops_capabilities is set. 0; -errno and *error, which names the
 * namespace. */
int fsrv__namespaces_make(const struct fsrv__sandbox_parts *sandbox, bool *drops_capabilities,
                          struct fsrv_error *error);

#endif
