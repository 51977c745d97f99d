/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_SPAWN_H
#define FSRV_CLIENT_SPAWN_H

#include "client/prepared.h"

/* fsrv_spawn() with more. *ret_status, if wanted, is the caller's. */
int fsrv__spawn_with(struct fsrv_server *server, const struct fsrv_request *request,
                     const struct fsrv__spawn_extra *extra, struct fsrv_process **ret_process, int *ret_status,
                     struct fsrv_error *error);

#endif
