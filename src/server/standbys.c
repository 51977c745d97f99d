/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <unistd.h>

#include "base/clock.h"
#include "server/supervisor.h"
#include "wire/readiness.h"

/* A standby whose fork handlers hang is ended: wire/readiness.h. */

void fsrv__standbys_watch(struct fsrv__supervisor *s, struct fsrv__child *standby) {
        standby->since = fsrv__now();
        if (s->next_look == 0)
                s->next_look = standby->since + fsrv__zygote_fork_limit(s);
}

/* One that was late is looked at twice: it may have been stopped together with the server. Then its claim is read, if
 * there is one. (It may be ready and claim since: then its client asks again, or hears of a death by SIGKILL.) */
static void look_at(struct fsrv__supervisor *s, struct fsrv__child *standby, int64_t now) {
        int r = fsrv__readiness_look(standby->pid, getpid());

        standby->is_ready = r == 1;
        if (r != 0)
                return;
        fsrv__children_on_claims(s);
        if (standby->role != FSRV_ROLE_STANDBY)
                return;
        if (standby->is_late) {
                standby->timed_out = true;
                fsrv__child_kill(standby);
        }
        standby->is_late = now - standby->since >= fsrv__zygote_fork_limit(s);
}

void fsrv__standbys_on_time(struct fsrv__supervisor *s, int64_t now) {
        struct fsrv__child *child, *next;

        if (s->next_look == 0 || now < s->next_look)
                return;
        s->next_look = 0;
        HASH_ITER(hh, s->children, child, next) {
                if (child->role != FSRV_ROLE_STANDBY || child->is_ready)
                        continue;
                look_at(s, child, now);
                if (!child->is_ready)
                        s->next_look = now + fsrv__zygote_fork_limit(s) / 2 + 1;
        }
}
