/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_SPAWN_H
#define FSRV_CLIENT_SPAWN_H

#include "forkserver.h"

/* fsrv_spawn(), with fds for the child's standard streams over what the request maps there; -1: none. Borrowed. */
int fsrv_spawn_with(struct fsrv_server *server, const struct fsrv_request *request, const int streams[3],
                    struct fsrv_process **ret_process, struct fsrv_error *error);

#endif
