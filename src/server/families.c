/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descendants.h"
#include "base/fd.h"
#include "base/linux.h"
#include "server/server.h"

/* A worker is ended together with the process group that it leads, or with its descendants. */

enum { LOOK_MS = 100 };

/* Until we reap it, neither its number nor its group's can be a stranger's. */
static void signal_family(const struct fsrv__child *child, int signal) {
        if (child->role != FSRV_ROLE_WORKER)
                fsrv__pidfd_send_signal(child->pidfd, signal);
        else if (getpgid(child->pid) != child->pid || kill(-child->pid, signal) < 0)
                fsrv__descendants_signal(child->pid, child->pidfd, signal);
}

void fsrv__child_kill(const struct fsrv__child *child) {
        if (child->pidfd >= 0)
                signal_family(child, SIGKILL);
}

/* ---- time limits: a list by deadline. Equal limits, the usual case, go in at its end ---- */

static int64_t after(int64_t now, uint64_t ms) {
        return now + (int64_t)(ms > INT64_MAX / 2 ? INT64_MAX / 2 : ms);
}

static void set_deadline(struct fsrv__server *s, struct fsrv__child *child, int64_t deadline) {
        struct fsrv__child *before = s->last_deadline;

        child->deadline = deadline;
        while (before && before->deadline > child->deadline)
                before = before->previous_deadline;
        child->previous_deadline = before;
        child->next_deadline = before ? before->next_deadline : s->first_deadline;
        *(before ? &before->next_deadline : &s->first_deadline) = child;
        *(child->next_deadline ? &child->next_deadline->previous_deadline : &s->last_deadline) = child;
}

void fsrv__family_limit(struct fsrv__server *s, struct fsrv__child *child, uint64_t limit_ms, uint64_t grace_ms) {
        child->grace_ms = grace_ms;
        set_deadline(s, child, after(fsrv__now(), limit_ms));
}

void fsrv__family_unlimit(struct fsrv__server *s, struct fsrv__child *child) {
        if (child->deadline == FSRV_NEVER)
                return;
        *(child->previous_deadline ? &child->previous_deadline->next_deadline : &s->first_deadline) =
                child->next_deadline;
        *(child->next_deadline ? &child->next_deadline->previous_deadline : &s->last_deadline) =
                child->previous_deadline;
        child->deadline = FSRV_NEVER;
}

static bool is_in_grace(const struct fsrv__child *child) {
        return child->role == FSRV_ROLE_WORKER && child->timed_out && child->deadline != FSRV_NEVER;
}

/* A stopped process takes its SIGTERM when it goes on. */
static void end_politely(struct fsrv__server *s, struct fsrv__child *child, int64_t now) {
        signal_family(child, SIGTERM);
        signal_family(child, SIGCONT);
        set_deadline(s, child, after(now, child->grace_ms));
}

/* Nothing tells when the last of a group has ended, so we look. */
static void await_group(struct fsrv__server *s, struct fsrv__child *child, int64_t now) {
        int64_t next = now + LOOK_MS;

        if (now < child->until && fsrv__pidfd_signal_group(child->pidfd, 0) == 0) {
                set_deadline(s, child, next < child->until ? next : child->until);
                return;
        }
        fsrv__pidfd_signal_group(child->pidfd, SIGKILL);
        fsrv__fd_close(child->pidfd);
        free(child);
        s->ended--;
}

void fsrv__families_on_time(struct fsrv__server *s, int64_t now) {
        struct fsrv__child *child;

        while ((child = s->first_deadline) && child->deadline <= now) {
                bool is_polite = !child->timed_out && child->grace_ms > 0;

                fsrv__family_unlimit(s, child);
                child->timed_out = true;
                if (is_polite)
                        end_politely(s, child, now);
                else if (child->role == FSRV_ROLE_ENDED)
                        await_group(s, child, now);
                else
                        fsrv__child_kill(child);
        }
}

void fsrv__families_kill(struct fsrv__server *s) {
        for (struct fsrv__child *child = s->first_deadline; child; child = child->next_deadline)
                if (child->role == FSRV_ROLE_ENDED) {
                        fsrv__pidfd_signal_group(child->pidfd, SIGKILL);
                        child->until = 0; /* the next look is the last */
                }
}

/* ---- the others of a group, when the worker has ended ---- */

/* Before Linux 6.9 no group can be reached without its leader: there the grace ends with that one. */
void fsrv__family_before_reaping(const struct fsrv__child *child) {
        if (is_in_grace(child) && fsrv__pidfd_signal_group(child->pidfd, 0) == -EINVAL)
                fsrv__child_kill(child);
}

bool fsrv__family_outlives(struct fsrv__server *s, struct fsrv__child *child) {
        if (!is_in_grace(child) || fsrv__pidfd_signal_group(child->pidfd, 0) < 0)
                return false;
        fsrv__unwatch(s, child->pidfd);
        HASH_DEL(s->children, child);
        child->role = FSRV_ROLE_ENDED;
        child->until = child->deadline;
        fsrv__family_unlimit(s, child);
        set_deadline(s, child, fsrv__now());
        s->ended++;
        return true;
}
