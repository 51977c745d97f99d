/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_SANDBOX_H
#define FSRV_CLIENT_SANDBOX_H

#include <stddef.h>

#include "forkserver.h"

/* What a zygote is made of (wire/sandbox_codec.h), borrowed; NULL: it is not sealed. */
const void *fsrv__sandbox_get_bytes(const struct fsrv_sandbox *sandbox, size_t *ret_size);

#endif
