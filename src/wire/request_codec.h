/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_REQUEST_CODEC_H
#define FSRV_WIRE_REQUEST_CODEC_H

/* The request as bytes and as a struct; no I/O. */

#include <stdbool.h>
#include <stddef.h>

#include "wire/attributes_codec.h"
#include "wire/protocol.h"

struct fsrv__request_parts {
        struct fsrv__wire_request head;
        const struct fsrv__wire_action *actions;        /* head.n_actions */
        const struct fsrv__wire_attributes *attributes; /* with its lists behind it; NULL: none */
        const char *name;
        const char *search;
        const char *directory;
        char *const *argv;        /* NULL-terminated, head.n_argv */
        char *const *environment; /* NULL-terminated, head.n_env */
        const void *payload;      /* head.payload_size bytes; encode, NULL: they go behind the body, or are a file's */
        char *const *paths;       /* one for each OPEN, in order; NULL-terminated */
        char **memory; /* decode: what the lists lie in, if it had to be allocated; the strings lie in the body */
};

/*
 * Head and body, one after the other, in one new block: free(3) it. Fills in the counts of *parts' head, and whether it
 * has attributes. The caller sets the rest of the head (but FSRV_WIRE_BODY_IN_MEMFD and n_fds_here later, in the
 * bytes). -E2BIG: over FSRV_WIRE_BODY_MAX or FSRV_WIRE_PAYLOAD_MAX; -ENOMEM.
 */
int fsrv__request_encode(struct fsrv__request_parts *parts, char **ret_bytes, size_t *ret_size);

/* Checks a head that came from outside. -EPROTONOSUPPORT: another version; -EPROTO: it breaks a limit or a rule. */
int fsrv__request_check_head(const struct fsrv__wire_request *head);

/* The bytes of the payload that are in the body. */
static inline uint64_t fsrv__request_payload_in_body(const struct fsrv__wire_request *head) {
        return head->flags & FSRV_WIRE_PAYLOAD_IN_FILE ? 0 : head->payload_size;
}

/* Whether n pointers are room enough for the lists of such a request. */
bool fsrv__request_fits(const struct fsrv__wire_request *head, size_t n);

/* The attributes of a request with a checked head and its whole body, before that is decoded; NULL: none. */
static inline const struct fsrv__wire_attributes *fsrv__request_attributes(const struct fsrv__wire_request *head,
                                                                           const void *body) {
        return head->flags & FSRV_WIRE_HAS_ATTRIBUTES
                       ? (const void *)((const struct fsrv__wire_action *)body + head->n_actions)
                       : NULL;
}

/* A checked head and its body, of exactly head->body_size bytes, which stays in use. The lists go into `room` if its n
 * pointers suffice, else into new memory. Free with fsrv__request_parts_done(). -EPROTO: malformed; -ENOMEM. */
int fsrv__request_decode(const struct fsrv__wire_request *head, const void *body, char **room, size_t n,
                         struct fsrv__request_parts *ret_parts);
void fsrv__request_parts_done(struct fsrv__request_parts *parts);

#endif
