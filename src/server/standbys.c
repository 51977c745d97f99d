/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/probe.h"
#include "forkserver.h"
#include "server/server.h"
#include "wire/readiness.h"

enum { KILLED_FORKS_MS = 10000 }; /* so long standbys are forked that SIGKILL hits before they take a request */

/* ---- orders ---- */

void fsrv__standbys_order(struct fsrv__server *s, struct fsrv__zygote *z) {
        const struct fsrv__wire_order order = { .type = FSRV_WIRE_FORK };
        /* one, while an heir may bring better ones */
        unsigned wanted = fsrv__heir_of(s, z) ? 1 : s->config.head.standbys;

        if (z->refusal.until > 0)
                return; /* a fork has just failed */
        /* while one after the other is replaced, requests would wait for ever: let all of them end first */
        if (z->hung > 0 && z->idle > 0)
                return;
        while (z->idle + z->due < wanted && fsrv__child_fits(s)) {
                if (fsrv__channel_send(z->orders, &order, offsetof(struct fsrv__wire_order, text), NULL, 0,
                                       MSG_DONTWAIT) < 0)
                        return;
                FSRV_PROBE(fork_ordered, z->pid, z->due);
                if (z->due++ > 0)
                        continue;
                z->ordered_us = fsrv__now_us();
                fsrv__zygote_become(s, z, FSRV_ZYGOTE_READY); /* its time begins */
        }
}

/* An answer, which may come from one that is to end. */
static void count_answer(const struct fsrv__server *s, struct fsrv__zygote *z) {
        z->due -= z->due > 0;
        if (z->state == FSRV_ZYGOTE_READY || z->state == FSRV_ZYGOTE_SLOW)
                fsrv__zygote_become(s, z, FSRV_ZYGOTE_READY);
}

void fsrv__standbys_on_forked(struct fsrv__server *s, struct fsrv__zygote *z, pid_t pid) {
        FSRV_PROBE(forked, pid, z->pid);
        /* One after the other: the next one's time begins with this one's end. */
        uint64_t now = fsrv__now_us();
        fsrv__histogram_add(&s->counts.fork, now - z->ordered_us);
        z->ordered_us = now;
        count_answer(s, z);
        z->forked++;
        z->failures = 0;
        fsrv__child_on_forked(s, z, pid, FSRV_ROLE_STANDBY);
}

void fsrv__standbys_on_cannot_fork(struct fsrv__server *s, struct fsrv__zygote *z, int err, int status) {
        struct fsrv__exit how = { .code = CLD_KILLED, .status = WTERMSIG(status) };
        bool hangs = err == ETIMEDOUT;
        struct fsrv__wire_failed why;

        count_answer(s, z);
        if (err) {
                why = fsrv__failure_describe(
                        s, z,
                        (struct fsrv__failure_of){ .kind = hangs ? FSRV_FAILURE_MIDDLE_HANGS : FSRV_FAILURE_FORK,
                                                   .err = err });
                fsrv__refuse(s, z, hangs ? z->crashes : 0, &why);
                z->crashes += hangs;
                return;
        }
        if (WIFEXITED(status))
                how = (struct fsrv__exit){ .code = CLD_EXITED, .status = WEXITSTATUS(status) };
        fsrv__standbys_on_end(s, z, &how, false);
}

/* ---- ends before a claim ---- */

static bool is_sigkill(const struct fsrv__exit *how) {
        return how->code == CLD_KILLED && how->status == SIGKILL;
}

/* SIGKILL comes from outside, a person or the OOM killer: go on for a while. */
static bool may_go_on(struct fsrv__zygote *z, const struct fsrv__exit *how) {
        int64_t now = fsrv__now();

        if (!is_sigkill(how))
                return false;
        if (z->last_kill == 0 || now - z->last_kill > KILLED_FORKS_MS)
                z->first_kill = now;
        z->last_kill = now;
        return now - z->first_kill < KILLED_FORKS_MS;
}

/* Its standbys read the end of the doorbell. epoll(7) may report their deaths earlier than the hang-up. */
static bool has_clients(const struct fsrv__zygote *z) {
        struct pollfd entry = { .fd = z->doorbell };

        return !z->is_deserted && (poll(&entry, 1, 0) <= 0 || !(entry.revents & (POLLHUP | POLLERR)));
}

/* Its signals are blocked, and all that has run in it are fork handlers and the host's: to fork the next one at once
 * would go on for ever, and requests would wait as long. */
void fsrv__standbys_on_end(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__exit *how,
                           bool was_late) {
        struct fsrv__failure_of failure = { .kind = FSRV_FAILURE_STANDBY, .how = how };

        if ((z->state != FSRV_ZYGOTE_READY && z->state != FSRV_ZYGOTE_SLOW) || !has_clients(z))
                return;
        if (was_late) { /* a refusal for each: it is for when the last one is gone */
                failure.kind = FSRV_FAILURE_STANDBY_HANGS;
                z->hung++;
        } else if (z->refusal.until > 0 || may_go_on(z, how)) {
                return;
        }
        const struct fsrv__wire_failed why = fsrv__failure_describe(s, z, failure);
        fsrv__refuse(s, z, z->crashes++, &why);
}

void fsrv__standbys_on_claim(struct fsrv__zygote *z) {
        z->crashes = z->hung = 0;
        z->last_kill = 0;
        if (z->state == FSRV_ZYGOTE_READY || z->state == FSRV_ZYGOTE_SLOW)
                z->refusal.until = 0;
}

/* ---- fork handlers that hang: wire/readiness.h ---- */

/* One that was late is looked at twice: it may have been stopped together with the server. */
static void look_at(const struct fsrv__server *s, struct fsrv__child *standby, int64_t now) {
        int r = fsrv__readiness_look(standby->pid, getpid());

        standby->is_ready = r == 1;
        standby->hangs = r == 0 && standby->is_late;
        if (r == 0)
                standby->is_late = now - standby->since >= fsrv__fork_limit(s);
}

bool fsrv__standbys_look(struct fsrv__server *s, int64_t now) {
        struct fsrv__child *child, *next;

        if (s->next_look == 0 || now < s->next_look)
                return false;
        s->next_look = 0;
        HASH_ITER(hh, s->children, child, next) {
                if (child->role != FSRV_ROLE_STANDBY || child->is_ready)
                        continue;
                look_at(s, child, now);
                if (!child->is_ready)
                        s->next_look = now + fsrv__fork_limit(s) / 2 + 1;
        }
        return true;
}

/* (One may have become ready, and claim, since the look: then its client asks again, or hears of a death by
 * SIGKILL.) */
void fsrv__standbys_end_hung(struct fsrv__server *s) {
        struct fsrv__child *child, *next;

        HASH_ITER(hh, s->children, child, next)
                if (child->role == FSRV_ROLE_STANDBY && child->hangs) {
                        child->timed_out = true;
                        fsrv__child_kill(child);
                }
}
