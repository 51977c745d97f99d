/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_SANDBOX_H
#define FSRV_CLIENT_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "forkserver.h"
#include "wire/sandbox_codec.h"

struct fsrv_sandbox {
        struct fsrv__sealed sealed; /* at its beginning: worker/lock.c knows no more */
        char *of_programs;          /* the same bytes for a zygote of programs */
        unsigned refs;
        struct fsrv__wire_sandbox head;
        const char *profile;
        void *filter;
        struct fsrv__wire_port *ports;
        struct fsrv__wire_path *paths;
        struct fsrv__wire_mount *mounts;
        char **path_names, **mount_names;
};

static inline bool fsrv__sandbox_is_sealed(const struct fsrv_sandbox *sandbox) {
        return sandbox->sealed.bytes != NULL;
}

/* What a zygote is made of (wire/sandbox_codec.h), of programs or of entry points, borrowed; NULL: it is not sealed. */
const void *fsrv__sandbox_get_bytes(const struct fsrv_sandbox *sandbox, bool of_programs, size_t *ret_size);

#endif
