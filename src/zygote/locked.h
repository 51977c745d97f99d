/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_LOCKED_H
#define FSRV_ZYGOTE_LOCKED_H

/*
 * A zygote in a sandbox: a fork of the one that has loaded all, with which it shares its memory. It locks itself in,
 * gets a doorbell of its own, and forks standbys as the other does. All that it forks is locked in with it.
 */

#include "worker/worker.h"

/* Locks this zygote in. `body` is a memfd with the sandbox, and closed here. 0; -errno and *error: it should end. */
int fsrv__locked_enter(int body, struct fsrv__standby *standby, struct fsrv_error *error);
/* Tells the server that it is ready for its sockets, and gives it the filter's listener, if there is one. 0 or -errno.
 */
int fsrv__locked_say_preloaded(int boot);

/* In the zygote: forks it. `boot` is its orders socket until it has its own, `body` a memfd with the sandbox; both are
 * closed here. Returns in both: in the new one with its sockets in *standby and *orders, in the old one with all as it
 * was. The server hears on `boot` how it went; on failure there is no new one. */
void fsrv__locked_fork(int boot, int body, struct fsrv__standby *standby, int *orders);

#endif
