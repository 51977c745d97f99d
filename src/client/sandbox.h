/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_SANDBOX_H
#define FSRV_CLIENT_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "forkserver.h"

/* What a zygote is made of (wire/sandbox_codec.h), of programs or of entry points, borrowed; NULL: it is not sealed. */
const void *fsrv__sandbox_get_bytes(const struct fsrv_sandbox *sandbox, bool of_programs, size_t *ret_size);

#endif
