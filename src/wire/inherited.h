/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_INHERITED_H
#define FSRV_WIRE_INHERITED_H

/* What a worker keeps of the request that made it, for the calls that a module makes in it. The worker writes it once,
 * before user code runs; worker/ and client/ (fsrv_server_inherit) read it. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct fsrv__inherited {
        bool is_worker;
        int doorbell; /* sending end */
        int lifeline;
        int tracker; /* -1: none */
        int data;    /* -1: none */
        int result;  /* -1: none is wanted */
        int *fds;
        size_t n_fds;
        const void *payload;
        size_t payload_size;
        pid_t client_pid;
        uid_t client_uid;
};

extern struct fsrv__inherited fsrv__inherited;

#endif
