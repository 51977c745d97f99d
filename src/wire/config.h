/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_CONFIG_H
#define FSRV_WIRE_CONFIG_H

/* What a server is told when it starts, and tells each zygote. */

#include <stdbool.h>
#include <stddef.h>

#include "wire/protocol.h"

struct fsrv_config {
        struct fsrv_wire_config head;
        const char *path; /* of a named server's socket, else NULL */
        char **argv;      /* of another zygote than forkserver-zygote: NULL-terminated, head.n_argv; else NULL */
        char **modules;   /* NULL-terminated, head.n_modules */
        void *memory;     /* decode: the list and its strings */
};

/* Whether the list has FSRV_PRELOAD_MAIN: the zygote is the client's program. */
bool fsrv_config_has_program(const struct fsrv_config *config);
/* One message into `bytes`; head.named, head.n_argv and head.n_modules are filled in. The size; -E2BIG; -EINVAL: a
 * program, and no argv. */
int fsrv_config_encode(struct fsrv_config *config, char bytes[FSRV_WIRE_MESSAGE_MAX]);
/* Copies what it needs. -EPROTONOSUPPORT, -EPROTO, -ENOMEM. Free with fsrv_config_done(). */
int fsrv_config_decode(const void *bytes, size_t size, struct fsrv_config *ret_config);
void fsrv_config_done(struct fsrv_config *config);

/* How this process's program was started, NULL-terminated; NULL until it calls fsrv_zygote_enter(). Written by zygote/,
 * read by client/. */
extern char **fsrv_program_argv;

#endif
