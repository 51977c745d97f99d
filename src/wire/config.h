/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_CONFIG_H
#define FSRV_WIRE_CONFIG_H

/* What a server is told when it starts, and tells each zygote. */

#include <stdbool.h>
#include <stddef.h>

#include "wire/protocol.h"

struct fsrv__config {
        struct fsrv__wire_config head;
        const char *path; /* of a named server's socket, else NULL */
        char **argv;      /* of another zygote than forkserver-zygote: NULL-terminated, head.n_argv; else NULL */
        char **modules;   /* NULL-terminated, head.n_modules */
        void *memory;     /* decode: the list and its strings */
};

/* Whether the list has FSRV_PRELOAD_MAIN: the zygote is the client's program. */
bool fsrv__config_has_program(const struct fsrv__config *config);
/* Makes one message in `bytes`, and fills in the counts of the head. The size; -E2BIG; -EINVAL: the zygote is the
 * client's program, and there is no argv. */
int fsrv__config_encode(struct fsrv__config *config, char bytes[FSRV_WIRE_MESSAGE_MAX]);
/* Copies what it needs. -EPROTONOSUPPORT, -EPROTO, -ENOMEM. Free with fsrv__config_done(). */
int fsrv__config_decode(const void *bytes, size_t size, struct fsrv__config *ret_config);
void fsrv__config_done(struct fsrv__config *config);

/* The arguments that this process's program was started with, NULL-terminated; NULL until it calls fsrv_zygote_enter().
 * zygote/ writes it, client/ reads it. */
extern char **fsrv__program_argv;

#endif
