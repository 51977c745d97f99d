/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_LOADED_H
#define FSRV_WIRE_LOADED_H

/* What loading a module did to the zygote, as bytes; no I/O. */

#include <stddef.h>

#include "wire/protocol.h"

/* These make the message in `bytes`, in this order: the failure, which may be empty, all threads, all fds. *size grows.
 * What does not fit is left out, and not counted. */
void fsrv__loaded_begin(char bytes[FSRV_WIRE_MESSAGE_MAX], size_t *ret_size, int err, const char *failure);
void fsrv__loaded_add_thread(char bytes[FSRV_WIRE_MESSAGE_MAX], size_t *size, const char *name);
void fsrv__loaded_add_fd(char bytes[FSRV_WIRE_MESSAGE_MAX], size_t *size, int fd, const char *kind, const char *what);

struct fsrv__loaded_fd {
        char *number, *kind, *what;
};

struct fsrv__loaded {
        struct fsrv__wire_loaded head;
        char *failure;
        char **threads;              /* head.n_threads */
        struct fsrv__loaded_fd *fds; /* head.n_fds */
        void *memory;
};

/* Points into the bytes, which stay in use. -EPROTO, -ENOMEM. Free with fsrv__loaded_done(). */
int fsrv__loaded_decode(char *bytes, size_t size, struct fsrv__loaded *ret_loaded);
void fsrv__loaded_done(struct fsrv__loaded *loaded);

#endif
