/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_PREPARED_H
#define FSRV_CLIENT_PREPARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/grip.h"
#include "forkserver.h"
#include "wire/protocol.h"

/* What a call adds to the request; borrowed. */
struct fsrv__spawn_extra {
        int streams[3];    /* over what the request maps to the standard streams; -1: none */
        int data;          /* for fsrv_worker_get_data(); -1: none */
        bool wants_status; /* a socket with a pid and an exit status */
        bool until_ended;  /* return when the process has ended, and do not wake for its start */
        bool is_call;      /* a result is wanted, and these are the payload, unless `input` is NULL */
        const void *input;
        size_t input_size;
};
#define FSRV_SPAWN_EXTRA_NONE \
        { { -1, -1, -1 }, -1, false, false, false, NULL, 0 }

/* A request and the caller of now, made into a message once, and used by any number of spawns. */
struct fsrv__prepared {
        const struct fsrv_request *request;
        const struct fsrv__spawn_extra *extra;
        uint32_t flags;      /* FSRV_SPAWN_…, FSRV_SPAWN_FILE */
        const void *payload; /* borrowed */
        size_t payload_size;
        int payload_fd; /* borrowed: a file of that size; -1: none */
        char *bytes;    /* head and body; NULL: not made yet */
        size_t size;
        int memfd;     /* the body, when it's too large for a message; else -1 */
        int tracker;   /* borrowed; -1 */
        int *user_fds; /* the caller's; borrowed */
        size_t n_user_fds;
};

/* Borrows both, and checks the request. 0 or -errno. fsrv__prepared_done() has to follow in any case. */
int fsrv__prepared_init(struct fsrv__prepared *prepared, const struct fsrv_request *request,
                        const struct fsrv__spawn_extra *extra, struct fsrv_error *error);
/* Makes the message. The deadline is that of the first spawn that uses it. 0 or -errno. */
int fsrv__prepared_make(struct fsrv__prepared *prepared, const struct fsrv__grip *grip, int64_t deadline,
                        struct fsrv_error *error);
void fsrv__prepared_done(struct fsrv__prepared *prepared);

static inline struct fsrv__wire_request *fsrv__prepared_head(const struct fsrv__prepared *prepared) {
        return (struct fsrv__wire_request *)prepared->bytes;
}

#endif
