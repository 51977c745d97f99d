/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <sys/socket.h>

#include "base/linux.h"
#include "server/supervisor.h"

/* A client that doesn't read is not waited for: what it is owed is the end alone. */
static void tell_client(const struct fsrv__child *child, const struct fsrv__change *change) {
        const struct fsrv__wire_changed changed = { .type = change->is_stop ? FSRV_WIRE_STOPPED : FSRV_WIRE_CONTINUED,
                                                    .pid = change->pid,
                                                    .signal = change->signal };

        if (child->flags & FSRV_WIRE_TELL_STOPS && child->answer >= 0)
                fsrv__channel_send(child->answer, &changed, sizeof changed, NULL, 0, MSG_DONTWAIT);
}

void fsrv__stops_tell(struct fsrv__supervisor *s) {
        struct fsrv__change change;

        while (fsrv__take_change(&change) == 1) {
                const struct fsrv__child *child = fsrv__child_find(s, change.pid);

                if (child)
                        tell_client(child, &change);
        }
}
