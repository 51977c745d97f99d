/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/supervisor.h"

/*
 * A fork handler of a module may hang in a child, say on a lock that a thread held. Requests would wait for such a
 * standby; on the doorbell they hold its sending end, so the server, too, would wait for ever when its clients have
 * ended. A standby has no word for "ready", which would wake the server once more for each spawn. But it has its
 * signals as usual then, which anybody can see.
 */

/* 1 if the process's SIGSYS is caught or ignored, 0 if it is at its default, -errno; and its parent. */
static int read_status(const char *path, pid_t *ret_parent) {
        FILE *file = fopen(path, "re");
        char line[256];
        uint64_t set, others = 0;

        if (!file)
                return -errno;
        while (fgets(line, sizeof line, file))
                if (sscanf(line, "SigIgn: %" SCNx64, &set) == 1 || sscanf(line, "SigCgt: %" SCNx64, &set) == 1)
                        others |= set;
                else
                        sscanf(line, "PPid: %d", ret_parent);
        fclose(file);
        return others >> (SIGSYS - 1) & 1;
}

/* In the zygote SIGSYS is caught, or ignored where forks are not caught; in a standby that is ready it is at its
 * default. 1 too where there is no telling: without /proc, with that of another pid namespace, or where all programs
 * seem to catch it, as below emulators. */
static int has_run_fork_handlers(pid_t pid) {
        char path[64];
        pid_t parent = -1;
        int own = read_status("/proc/self/status", &parent);

        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        int r = read_status(path, &parent);
        if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
                return r; /* later */
        return own != 0 || r != 1 || parent != getpid();
}

void fsrv__standbys_watch(struct fsrv__supervisor *s, struct fsrv__child *standby) {
        standby->since = fsrv__now();
        if (s->next_look == 0)
                s->next_look = standby->since + fsrv__zygote_fork_limit(s);
}

/* One that was late is looked at twice: it may have been stopped together with the server. Then its claim is read, if
 * there is one. (It may be ready and claim since: then its client asks again, or hears of a death by SIGKILL.) */
static void look_at(struct fsrv__supervisor *s, struct fsrv__child *standby, int64_t now) {
        int r = has_run_fork_handlers(standby->pid);

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
