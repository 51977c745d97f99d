/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_TOP_LIVE_H
#define FORKSERVER_CLI_TOP_LIVE_H

/* The live view on a terminal. */

#include "ps_view.h"

/* Until the user ends it, *ret_signal being the signal that did or 0. 0; or -errno and *error, with the terminal given
 * back. */
int top_live_run(struct fsrv_server *server, struct ps_options *options, struct ps_view *view, int *ret_signal,
                 struct fsrv_error *error);

#endif
