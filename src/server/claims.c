/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>

#include "base/fd.h"
#include "forkserver.h"
#include "server/supervisor.h"

/* What standbys say. Each message bears the pid of its sender, stamped by the kernel. All handlers: false, it is
 * malformed. */

static bool on_claim(struct fsrv__supervisor *s, struct fsrv__zygote *z, const struct fsrv__wire_claim *claim,
                     struct fsrv__message *message) {
        size_t n_fds = claim->flags & FSRV_WIRE_HAS_STATUS ? 2 : 1;
        struct fsrv__child *child = fsrv__child_find(s, message->sender.pid);

        if (message->n_fds != n_fds)
                return false;
        s->stats.claims++;
        s->stats.spawns++;
        fsrv__standbys_on_claim(z);
        if (!child) /* faster than its FORKED */
                child = fsrv__child_add(s, z, message->sender.pid, FSRV_ROLE_STRAY);
        if (!child || child->role == FSRV_ROLE_WORKER)
                return true; /* its client asks the kernel for the status */
        fsrv__child_become(s, child, FSRV_ROLE_WORKER);
        child->flags = claim->flags;
        int status = n_fds > 1 ? fsrv__fd_steal(&message->fds[1]) : -1;
        fsrv__answer_begin(s, child, fsrv__fd_steal(&message->fds[0]), status);
        if (claim->time_limit_ms)
                fsrv__family_limit(s, child, claim->time_limit_ms, claim->grace_ms);
        if (child->flags & FSRV_WIRE_TELL_STOPS)
                fsrv__signals_take_children(s);
        if (s->killing)
                fsrv__child_kill(child);
        return true;
}

/* It ends by itself. The process that has its memory is ours as well, and may have died before it claimed. */
static bool on_retired(struct fsrv__supervisor *s, struct fsrv__zygote *z, const struct fsrv__wire_claim *claim,
                       const struct fsrv__message *message) {
        struct fsrv__child *child = fsrv__child_find(s, message->sender.pid);

        if (!child)
                fsrv__child_add(s, z, message->sender.pid, FSRV_ROLE_RETIRED); /* faster than its FORKED */
        else if (child->role == FSRV_ROLE_STANDBY)
                fsrv__child_become(s, child, FSRV_ROLE_RETIRED);
        if (claim->borrower > 0 && !fsrv__child_find(s, claim->borrower))
                fsrv__child_add(s, z, claim->borrower, FSRV_ROLE_STRAY);
        return true;
}

static bool on_setup_failed(struct fsrv__supervisor *s, const struct fsrv__wire_claim *claim) {
        if (claim->stage >= FSRV_STAGE_COUNT)
                return false;
        s->stats.failures[claim->stage]++;
        return true;
}

static bool on_message(struct fsrv__supervisor *s, struct fsrv__zygote *z, const struct fsrv__wire_claim *claim,
                       struct fsrv__message *message) {
        if (message->size != sizeof *claim)
                return false;
        switch (claim->type) {
        case FSRV_WIRE_CLAIM:
                return on_claim(s, z, claim, message);
        case FSRV_WIRE_RETIRED:
                return on_retired(s, z, claim, message);
        case FSRV_WIRE_SETUP_FAILED:
                return on_setup_failed(s, claim);
        default:
                return false;
        }
}

void fsrv__claims_receive(struct fsrv__supervisor *s, struct fsrv__zygote *z) {
        struct fsrv__wire_claim claim;
        struct fsrv__message message;

        for (;;) {
                int r = fsrv__channel_receive(z->claims[0], &claim, sizeof claim, MSG_DONTWAIT, &message);
                if (r == 1)
                        s->stats.malformed += !on_message(s, z, &claim, &message);
                else if (r != -EMFILE)
                        return;
                fsrv__message_close(&message);
        }
}
