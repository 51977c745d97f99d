/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_REQUEST_H
#define FSRV_CLIENT_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "forkserver.h"
#include "wire/request_codec.h"

/* One fd action as the wire has it; for INSTALL and HAND `source` is the caller's fd until the spawn numbers it. */
struct fsrv_request {
        uint32_t kind; /* FSRV_WIRE_ENTRY, …; 0: not said yet */
        uint32_t flags;
        char *name;
        char **argv;        /* NULL: { name } */
        char **environment; /* NULL: the caller's at the spawn */
        char *directory;
        int umask; /* -1: the caller's */
        bool has_mask, has_ignored, has_group, new_session;
        uint64_t mask, ignored;
        pid_t group;
        int spawn_timeout_ms;
        struct fsrv_sandbox *sandbox; /* NULL: none, or the server handle's */
        uint64_t time_limit_ms, grace_ms;
        const void *payload; /* borrowed */
        size_t payload_size;
        int payload_fd; /* instead of these, borrowed; -1: none */

        struct fsrv__wire_attributes *attributes; /* with its lists; NULL: none */
        int terminal;                             /* their fds, of the caller's numbers: borrowed, or -1 */
        int cgroup;
        int ruleset;

        struct fsrv__wire_action *actions;
        size_t n_actions;
        char **paths; /* of the OPEN actions, in order; NULL-terminated, or NULL */
        size_t n_paths;
        bool inherits[3]; /* whether the default mapping of 0, 1, 2 still shows */
        bool pinned[3];   /* it was the source of a dup2, so it is needed even if it is mapped over later */
};

/* Signals as the kernel has them: bit n-1 is signal n. */
uint64_t fsrv__signals_to_bits(const sigset_t *set);

#endif
