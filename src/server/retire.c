/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/linux.h"
#include "server/server.h"

enum {
        LOOK_MS = 1,     /* a process that runs stops within microseconds */
        LIMIT_MS = 2000, /* one in a frozen control group never does, and can't take a request either */
};

void fsrv__standby_retire(struct fsrv__server *s, struct fsrv__child *standby) {
        if (standby->role != FSRV_ROLE_STANDBY || standby->retires ||
            fsrv__pidfd_send_signal(standby->pidfd, SIGSTOP) < 0)
                return;
        standby->retires = true;
        standby->since = fsrv__now();
        s->retiring++;
        s->next_stop_look = fsrv__now() + LOOK_MS;
}

void fsrv__standbys_retire(struct fsrv__server *s, const struct fsrv__zygote *z) {
        struct fsrv__child *child, *next;

        HASH_ITER(hh, s->children, child, next)
                if (child->zygote == z)
                        fsrv__standby_retire(s, child);
}

/* Its parent hears of a stop by waitid(2) once, and others of ours ask for all stops. So the state is read. Without
 * /proc the standby counts as stopped: it had a millisecond. */
static bool is_stopped(pid_t pid) {
        char path[64], line[512];

        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        FILE *file = fopen(path, "re");
        if (!file)
                return true;
        const char *name_end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
        bool is = name_end && strlen(name_end) > 2 && strchr("TtZX", name_end[2]);
        fclose(file);
        return is;
}

bool fsrv__retiring_look(struct fsrv__server *s, int64_t now) {
        struct fsrv__child *child, *next;

        if (s->next_stop_look == 0 || now < s->next_stop_look)
                return false;
        s->next_stop_look = s->retiring ? now + LOOK_MS : 0;
        HASH_ITER(hh, s->children, child, next)
                if (child->retires)
                        child->is_stopped = is_stopped(child->pid) || now - child->since > LIMIT_MS;
        return true;
}

/* To become RETIRED lets it go on, which the kill that follows makes short. */
void fsrv__retiring_end(struct fsrv__server *s) {
        struct fsrv__child *child, *next;

        HASH_ITER(hh, s->children, child, next)
                if (child->retires && child->is_stopped) {
                        fsrv__pidfd_send_signal(child->pidfd, SIGKILL);
                        fsrv__child_become(s, child, FSRV_ROLE_RETIRED);
                }
}
