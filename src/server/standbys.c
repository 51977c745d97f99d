/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "server/server.h"

/*
 * A fork handler of a module may hang in a child, say on a lock that a thread held. Requests would wait for such a standby; on the
 * doorbell they hold its sending end, so the server, too, would wait for ever when its clients have ended. A standby has no word for
 * "ready", which would wake the server once more for each spawn. But it has its signals as usual then, which anybody can see.
 */

/* In the zygote SIGSYS is caught, or ignored where forks are not caught; in a standby that is ready it is at its default. Without /proc
 * there is no telling. */
static bool has_run_fork_handlers(pid_t pid) {
        char path[64], line[256];
        uint64_t set, others = 0;

        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        FILE *file = fopen(path, "re");
        while (file && fgets(line, sizeof line, file))
                if (sscanf(line, "SigIgn: %" SCNx64, &set) == 1 || sscanf(line, "SigCgt: %" SCNx64, &set) == 1)
                        others |= set;
        if (file)
                fclose(file);
        return !(others >> (SIGSYS - 1) & 1);
}

void fsrv_standbys_watch(struct fsrv_supervisor *s, struct fsrv_child *standby) {
        standby->since = fsrv_now();
        if (s->next_look == 0)
                s->next_look = standby->since + fsrv_zygote_fork_limit(s);
}

/* One that was late is looked at twice: it may have been stopped together with the server. */
static void look_at(const struct fsrv_supervisor *s, struct fsrv_child *standby, int64_t now) {
        standby->is_ready = has_run_fork_handlers(standby->pid);
        if (standby->is_late && !standby->is_ready)
                fsrv_child_kill(standby);
        standby->is_late = !standby->is_ready && now - standby->since >= fsrv_zygote_fork_limit(s);
}

void fsrv_standbys_on_time(struct fsrv_supervisor *s, int64_t now) {
        struct fsrv_child *child, *next;

        if (s->next_look == 0 || now < s->next_look)
                return;
        s->next_look = 0;
        HASH_ITER(hh, s->children, child, next) {
                if (child->role != FSRV_ROLE_STANDBY || child->is_ready)
                        continue;
                look_at(s, child, now);
                if (!child->is_ready)
                        s->next_look = now + fsrv_zygote_fork_limit(s) / 2;
        }
}
