/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_MEASURE_H
#define FSRV_ZYGOTE_MEASURE_H

/* What a module does to the zygote: time, memory, threads that it leaves running, fds that it leaves open. */

#include <stdbool.h>
#include <stddef.h>

#include "forkserver-host.h"
#include "wire/protocol.h"

/* Before a module is loaded. `memory`: measure that too, which takes time in proportion to it. */
void fsrv__measure_begin(bool memory);
/* After it: the message to the server. `err`, `failure`: of the loading, 0 and "" if it went well. */
size_t fsrv__measure_end(const char *module, int err, const char *failure, char ret_bytes[FSRV_WIRE_MESSAGE_MAX]);

/* Whether there are threads besides the calling one. */
bool fsrv__measure_has_threads(void);
/* A sentence that names them and the modules that started them. */
void fsrv__measure_describe_threads(char *ret_text, size_t size);

/* Forks for nothing: some libraries stop their threads by handlers of pthread_atfork(3), as OpenBLAS does. */
void fsrv__measure_fork_once(const struct fsrv_host *host);

#endif
