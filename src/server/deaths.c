/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/probe.h"
#include "server/server.h"

/* Of a worker all is known. Of any other process, and of its zygote, something that matters for its death may be
 * unread. */
bool fsrv__is_worker(const struct fsrv__server *s, pid_t pid) {
        const struct fsrv__child *child = fsrv__child_find(s, pid);

        return child && child->role == FSRV_ROLE_WORKER;
}

/* A process that did not work: a standby, one that never claimed, and what the kernel says is none of ours. */
static void on_other_death(struct fsrv__server *s, struct fsrv__child *child, const struct fsrv__exit *how) {
        struct fsrv__zygote *z = child->zygote;
        bool was_standby = child->role == FSRV_ROLE_STANDBY, was_late = child->timed_out;

        fsrv__child_forget(s, child);
        if (!was_standby)
                return;
        if (how)
                fsrv__standbys_on_end(s, z, how, was_late);
        if (!s->draining && !s->is_reaper)
                fsrv__children_find(s, z, FSRV_ROLE_STRAY); /* what borrowed its memory may be dying with it */
}

static void on_worker_death(struct fsrv__server *s, struct fsrv__child *child, const struct fsrv__exit *how,
                            const struct rusage *rusage) {
        const struct fsrv__wire_exited exited = { .type = FSRV_WIRE_EXITED,
                                                  .pid = child->pid,
                                                  .code = how->code,
                                                  .status = how->status,
                                                  .timed_out = child->timed_out,
                                                  .refused = child->refused,
                                                  .refused_call = child->refused_call,
                                                  .was_refused = child->was_refused,
                                                  .rusage = *rusage };

        FSRV_PROBE(reaped, child->pid, how->status);
        s->stats.exits++;
        s->counts.exit_failures += how->code == CLD_EXITED && how->status != 0;
        s->counts.timed_out += child->timed_out;
        s->counts.refused_kills += child->was_refused;
        fsrv__histogram_add(&s->counts.run, fsrv__now_us() - child->claimed_us);
        if (how->code != CLD_EXITED && how->status < (int)(sizeof s->stats.signals / sizeof *s->stats.signals))
                s->stats.signals[how->status]++;
        fsrv__answer_deliver(s, child, &exited);
        fsrv__refusals_on_end(s);
        if (!fsrv__family_outlives(s, child))
                fsrv__child_forget(s, child);
}

static void on_child_death(struct fsrv__server *s, struct fsrv__child *child) {
        struct fsrv__exit how;
        struct rusage rusage;

        fsrv__answer_look_for_hangup(s, child);
        fsrv__family_before_reaping(child);
        int r = fsrv__reap_pidfd(child->pidfd, &how, &rusage);
        if (r == 0)
                return;
        if (child->role == FSRV_ROLE_WORKER && r == 1)
                on_worker_death(s, child, &how, &rusage);
        else
                on_other_death(s, child, r == 1 ? &how : NULL);
}

static struct fsrv__zygote *zygote_of(const struct fsrv__server *s, pid_t pid) {
        struct fsrv__zygote *z = s->zygotes;

        while (z && z->pid != pid)
                z = z->next;
        return z;
}

bool fsrv__death_of(struct fsrv__server *s, pid_t pid) {
        struct fsrv__zygote *z = zygote_of(s, pid);
        struct fsrv__child *child = z ? NULL : fsrv__child_find(s, pid);
        struct fsrv__exit how;
        struct rusage rusage;

        if (child)
                on_child_death(s, child);
        else if (z && fsrv__reap_pidfd(z->pidfd, &how, &rusage) == 1)
                fsrv__zygote_on(s, z, (struct fsrv__news){ .event = FSRV_EVENT_DEATH, .how = &how });
        return z || child;
}

/* ---- what SIGCHLD has come for ---- */

/* The second look, the only one: what has died or stopped since all that was sent was received may have sent more. */
static void look_again(struct fsrv__server *s) {
        for (struct fsrv__zygote *z = s->zygotes; z; z = z->next) {
                fsrv__orders_receive(s, z);
                fsrv__claims_receive(s, z);
        }
}

/* A client that doesn't read is not waited for: what it is owed is the end alone. */
static void tell_client(const struct fsrv__child *worker, const struct fsrv__change *change) {
        const struct fsrv__wire_changed changed = { .type = change->is_stop ? FSRV_WIRE_STOPPED : FSRV_WIRE_CONTINUED,
                                                    .pid = change->pid,
                                                    .signal = change->signal };

        if (worker->flags & FSRV_WIRE_TELL_STOPS && worker->answer >= 0)
                fsrv__channel_send(worker->answer, &changed, sizeof changed, NULL, 0, MSG_DONTWAIT);
}

/* A standby that is to retire may turn out to be a worker. Its stop was ours, and so is the next thing to hear of it,
 * unless that is another stop. */
static bool is_ours(const struct fsrv__server *s, const struct fsrv__change *change) {
        struct fsrv__child *child = fsrv__child_find(s, change->pid);

        if (!child)
                return false;
        bool is = child->retires || (child->goes_on && !change->is_stop);
        child->goes_on = false;
        return is;
}

static void tell_of_stops(struct fsrv__server *s) {
        struct fsrv__change change;

        while (fsrv__take_change(&change) == 1) {
                if (is_ours(s, &change))
                        continue;
                if (!fsrv__is_worker(s, change.pid))
                        look_again(s);
                if (fsrv__is_worker(s, change.pid))
                        tell_client(fsrv__child_find(s, change.pid), &change);
        }
}

static void reap_all(struct fsrv__server *s) {
        pid_t pid;

        while (fsrv__peek_dead(&pid) == 1) {
                if (!fsrv__is_worker(s, pid))
                        look_again(s);
                if (!fsrv__death_of(s, pid))
                        waitpid(pid, NULL, 0); /* what a worker left behind when it turned itself into a daemon */
        }
}

void fsrv__changes_take(struct fsrv__server *s) {
        tell_of_stops(s);
        if (s->is_reaper || getpid() == 1)
                reap_all(s);
}
