/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <sys/socket.h>

#include "base/linux.h"
#include "server/supervisor.h"

/* Who asked hears of it. A client that doesn't read is not waited for: what it is owed is the end alone. */
void fsrv__stops_tell(struct fsrv__supervisor *s) {
        struct fsrv__change change;

        fsrv__children_on_claims(s); /* a worker's claim was sent before it could stop */
        while (fsrv__take_change(&change) == 1) {
                const struct fsrv__child *child = fsrv__child_find(s, change.pid);
                struct fsrv__wire_changed changed = { .type = change.is_stop ? FSRV_WIRE_STOPPED : FSRV_WIRE_CONTINUED,
                                                      .pid = change.pid,
                                                      .signal = change.signal };

                if (child && child->flags & FSRV_WIRE_TELL_STOPS && child->answer >= 0)
                        fsrv__channel_send(child->answer, &changed, sizeof changed, NULL, 0, MSG_DONTWAIT);
        }
}
