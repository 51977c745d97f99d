/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "forkserver.h"
#include "server/server.h"
#include "wire/messages.h"

enum {
        KILLED_STARTS_MS = 10000, /* so long a zygote that SIGKILL hits while it loads is started again at once */
        LOST_BIRTHS_MAX = 3,      /* in a row: nothing tells how one in a sandbox has died as it was forked */
};

/* ---- starting ---- */

static void fail_start(struct fsrv__server *s, struct fsrv__zygote *z) {
        fsrv__zygote_become(s, z, FSRV_ZYGOTE_FAILED);
        if (z == s->next) {
                fsrv__reload_fail(s);
                return;
        }
        fsrv__refuse(s, z, z->failures++, &z->failure);
        if (z != s->zygotes)
                return;
        fsrv__supervisor_say(s, "", "%s", z->failure.text);
        if ((s->config.head.options & FSRV_WIRE_FAIL_FAST || s->takes_over) && !s->has_served) {
                s->exit_code = 125;
                s->wish = FSRV_WISH_DRAIN;
        }
}

static void start_process(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        (void)news;
        s->stats.zygote_starts++;
        s->stats.zygote_restarts += z->starts > 0 && !z->is_old;
        z->starts++;
        z->since = fsrv__now();
        z->is_old = false;
        z->left_out[0] = 0;
        z->due = z->forked = z->hung = 0;
        z->failure.stage = 0;
        bool is_locked = fsrv__zygote_is_locked(z);
        if ((is_locked ? fsrv__locked_start(s, z) : fsrv__zygote_start(s, z)) < 0)
                fail_start(s, z);
        else
                fsrv__zygote_become(s, z, is_locked ? FSRV_ZYGOTE_ORDERED : FSRV_ZYGOTE_LOADING);
}

/* One in a sandbox waits for the first one, which may have failed to load: a request is what that waits for. */
static void start_if_possible(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        if (!fsrv__zygote_is_locked(z) || fsrv__locked_can_start(s))
                start_process(s, z, news);
        else if (news->event == FSRV_EVENT_ASKED)
                fsrv__zygote_on(s, s->zygotes, (struct fsrv__news){ .event = FSRV_EVENT_ASKED });
}

/* ---- one in a sandbox, until it has a process ---- */

static void forget_birth(struct fsrv__server *s, struct fsrv__zygote *z) {
        fsrv__unwatch(s, z->orders);
        z->orders = fsrv__fd_close(z->orders); /* if it is born later on, it ends */
}

static void fail_birth(struct fsrv__server *s, struct fsrv__zygote *z, struct fsrv__failure_of failure) {
        forget_birth(s, z);
        fsrv__zygote_blame(s, z, failure);
        fail_start(s, z);
}

static void take_birth(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        int r = news->err ? -news->err : fsrv__locked_on_born(s, z, news->value);

        if (r < 0)
                fail_birth(s, z, (struct fsrv__failure_of){ .kind = FSRV_FAILURE_FORK, .err = -r });
        else
                fsrv__zygote_become(s, z, FSRV_ZYGOTE_LOADING);
        z->lost_births = 0;
}

/* The first zygote has died, or the new one, in a fork handler. That may be a child of ours. */
static void on_birth_lost(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        (void)news;
        fsrv__children_find(s, NULL, FSRV_ROLE_STRAY);
        if (s->zygotes->state == FSRV_ZYGOTE_READY && ++z->lost_births > LOST_BIRTHS_MAX) {
                fail_birth(s, z, (struct fsrv__failure_of){ .kind = FSRV_FAILURE_BIRTH });
        } else {
                forget_birth(s, z);
                fsrv__zygote_become(s, z, FSRV_ZYGOTE_ABSENT);
        }
}

static void end_late_birth(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        (void)news;
        fail_birth(s, z, (struct fsrv__failure_of){ .kind = FSRV_FAILURE_FORK_HANGS });
}

static void give_birth_up(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        (void)news;
        forget_birth(s, z);
        fsrv__zygote_become(s, z, FSRV_ZYGOTE_ABSENT);
}

static void name_module(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        (void)s;
        snprintf(z->loading, sizeof z->loading, "%s", news->text);
}

static void note_failure(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        (void)s;
        if (z->failure.stage != 0)
                return;
        z->failure.type = FSRV_WIRE_FAILED;
        if (fsrv__zygote_is_locked(z))
                z->failure.stage = FSRV_STAGE_SANDBOX;
        else
                z->failure.stage = z->loading[0] ? FSRV_STAGE_PRELOAD : FSRV_STAGE_START;
        z->failure.err = news->err;
        snprintf(z->failure.text, sizeof z->failure.text, "%s", news->text);
}

static void begin_freezing(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        (void)news;
        fsrv__zygote_become(s, z, FSRV_ZYGOTE_FREEZING);
}

static int give_sockets(struct fsrv__server *s, struct fsrv__zygote *z) {
        const struct fsrv__wire_order order = { .type = FSRV_WIRE_SOCKETS };
        int orders[2], fds[FSRV_SLOTS], slots[FSRV_SLOTS] = FSRV_NO_FDS, r = fsrv__socketpair(orders);

        if (r < 0)
                return r;
        slots[FSRV_SLOT_DOORBELL] = z->doorbell;
        slots[FSRV_SLOT_CLAIMS] = z->claims[1];
        slots[FSRV_SLOT_ORDERS] = orders[1];
        size_t n = fsrv__message_pack(FSRV_TABLE_TO_ZYGOTE, &order, slots, NULL, fds);
        r = fsrv__channel_send(z->orders, &order, offsetof(struct fsrv__wire_order, text), fds, n, MSG_DONTWAIT);
        fsrv__fd_close(orders[1]);
        fsrv__unwatch(s, z->orders);
        fsrv__fd_close(z->orders);
        z->orders = orders[0];
        fsrv__watch(s, z->orders, EPOLLIN, FSRV_SOURCE_ORDERS, z->id);
        return r;
}

/* It has loaded all that there is. */
static void begin_first(struct fsrv__server *s, const struct fsrv__zygote *z) {
        if (z == s->next)
                fsrv__reload_succeed(s);
        s->has_served = true;
        fsrv__supervisor_say_ready(s);
        fsrv__files_take(s);
}

/* The metrics are no reason not to serve. */
static int take_over(struct fsrv__server *s, struct fsrv__zygote *z) {
        int r = fsrv__takeover_take(s, &z->failure);
        int m = r < 0 ? 0 : fsrv__scrapes_listen(s);

        if (m < 0)
                fsrv__log(s, FSRV_ERROR, "the metrics socket: %s", strerrordesc_np(-m));
        return r;
}

static void begin_serving(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        bool forks_twice = news->value & 1;
        int r = forks_twice ? fsrv__become_reaper(s) : 0;

        if (r < 0) {
                const char *what = "becoming the parent of orphans (PR_SET_CHILD_SUBREAPER)";
                fsrv__zygote_blame(s, z, (struct fsrv__failure_of){ FSRV_FAILURE_START, -r, what, NULL });
                fsrv__zygote_kill(s, z);
                return;
        }
        if (s->takes_over && (r = take_over(s, z)) < 0) {
                fsrv__zygote_kill(s, z);
                return;
        }
        s->output = fsrv__fd_close(s->output);
        if (z->killed_freezing < FSRV_WIRE_KILLED)
                z->killed_freezing = 0;
        z->refusal.until = 0;
        fsrv__zygote_become(s, z, FSRV_ZYGOTE_READY);
        if (give_sockets(s, z) < 0)
                fsrv__zygote_kill(s, z);
        else if (!fsrv__zygote_is_locked(z))
                begin_first(s, z);
}

/* ---- what comes of time ---- */

static void end_late_loading(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        (void)news;
        fsrv__zygote_blame(s, z, (struct fsrv__failure_of){ .kind = FSRV_FAILURE_LATE });
        z->killed_freezing += z->state == FSRV_ZYGOTE_FREEZING;
        fsrv__zygote_kill(s, z);
}

static void give_more_time(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        (void)news;
        fsrv__zygote_become(s, z, FSRV_ZYGOTE_SLOW);
}

static void end_late_fork(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        (void)news;
        fsrv__zygote_blame(s, z, (struct fsrv__failure_of){ .kind = FSRV_FAILURE_FORK_HANGS });
        fsrv__zygote_kill(s, z);
}

/* ---- its end ---- */

static void end_at_once(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        (void)news;
        fsrv__zygote_kill(s, z);
}

/* What modules have registered for the end of their process runs, as in any program that is told to end. */
static void end_politely(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        (void)news;
        if (shutdown(z->orders, SHUT_WR) < 0)
                fsrv__zygote_kill(s, z);
        else
                fsrv__zygote_become(s, z, FSRV_ZYGOTE_ENDING);
}

/* SIGKILL comes from outside (a person, the OOM killer): the module is not to blame, so try again for a while. */
static bool may_try_again(struct fsrv__zygote *z) {
        int64_t now = fsrv__now();

        if (z->failures++ == 0)
                z->first_failure = now;
        return now - z->first_failure < KILLED_STARTS_MS;
}

/* Its heir ends with it. Children that it did not come to tell of are found; where orphans become the server's, they
 * may be orphans, and are strays until they claim. */
static void forget_process(struct fsrv__server *s, struct fsrv__zygote *z) {
        if (fsrv__heir_of(s, z))
                fsrv__child_kill(fsrv__heir_of(s, z));
        fsrv__children_find(s, z, s->is_reaper ? FSRV_ROLE_STRAY : FSRV_ROLE_STANDBY);
        if (z->is_old)
                fsrv__standbys_retire(s, z);
        z->pid = 0;
        z->pidfd = fsrv__fd_close(z->pidfd);
        z->orders = fsrv__fd_close(z->orders);
        z->due = 0;
}

/* In this order: the sentence depends on the state that it dies in. */
static void on_death(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        bool was_killed = news->how->code == CLD_KILLED && news->how->status == SIGKILL;
        bool has_said_why = z->failure.stage != 0;

        z->killed_freezing += was_killed && z->state == FSRV_ZYGOTE_FREEZING;
        fsrv__zygote_blame(s, z, (struct fsrv__failure_of){ .kind = FSRV_FAILURE_DEATH, .how = news->how });
        forget_process(s, z);
        if (s->draining || fsrv__zygote_is_unwanted(z) || z->is_old ||
            (!has_said_why && (z->forked > 0 || (was_killed && may_try_again(z)))))
                fsrv__zygote_become(s, z, FSRV_ZYGOTE_ABSENT);
        else
                fail_start(s, z);
}

/* ---- its standbys, its heir ---- */

static void take_standby(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        fsrv__standbys_on_forked(s, z, news->value);
}

static void take_failed_fork(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        fsrv__standbys_on_cannot_fork(s, z, news->err, news->value);
}

static void allow_heir(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        fsrv__heir_allow(s, z, news->value);
}

static void take_heir(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        fsrv__heir_on_born(s, z, news->value);
}

static void let_heir_succeed(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        (void)news;
        fsrv__heir_succeed(s, z);
}

static void let_heir_succeed_and_end(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        (void)news;
        fsrv__heir_succeed(s, z);
        fsrv__zygote_kill(s, z);
}

static void note_left_out(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        fsrv__heir_on_left_out(s, z, news->text);
}

static void ignore_order(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news) {
        (void)s;
        (void)z;
        (void)news;
}

/* ---- the table ---- */

typedef void zygote_action(struct fsrv__server *s, struct fsrv__zygote *z, const struct fsrv__news *news);

/* clang-format off */
static zygote_action *const actions[FSRV_ZYGOTE_STATES][FSRV_EVENTS] = {
        [FSRV_ZYGOTE_ABSENT] = {
                [FSRV_EVENT_WANTED]      = start_if_possible,
                [FSRV_EVENT_ASKED]       = start_if_possible,
        },
        [FSRV_ZYGOTE_FAILED] = {
                [FSRV_EVENT_ASKED]       = start_if_possible,
        },
        [FSRV_ZYGOTE_ORDERED] = {
                [FSRV_EVENT_BORN]        = take_birth,
                [FSRV_EVENT_CLOSED]      = on_birth_lost,
                [FSRV_EVENT_LATE]        = end_late_birth,
                [FSRV_EVENT_END]         = give_birth_up,
        },
        [FSRV_ZYGOTE_LOADING] = {
                [FSRV_EVENT_LOADING]     = name_module,
                [FSRV_EVENT_LOAD_FAILED] = note_failure,
                [FSRV_EVENT_WANTS_HEIR]  = allow_heir,
                [FSRV_EVENT_HEIR]        = take_heir,
                [FSRV_EVENT_LEFT_OUT]    = note_left_out,
                [FSRV_EVENT_HAND_OVER]   = let_heir_succeed,
                [FSRV_EVENT_FREEZING]    = begin_freezing,
                [FSRV_EVENT_PRELOADED]   = begin_serving,
                [FSRV_EVENT_LATE]        = end_late_loading,
                [FSRV_EVENT_END]         = end_at_once,
                [FSRV_EVENT_DEATH]       = on_death,
        },
        [FSRV_ZYGOTE_FREEZING] = {
                [FSRV_EVENT_PRELOADED]   = begin_serving,
                [FSRV_EVENT_LATE]        = end_late_loading,
                [FSRV_EVENT_END]         = end_at_once,
                [FSRV_EVENT_DEATH]       = on_death,
        },
        [FSRV_ZYGOTE_READY] = {
                [FSRV_EVENT_FORKED]      = take_standby,
                [FSRV_EVENT_CANNOT_FORK] = take_failed_fork,
                [FSRV_EVENT_LEFT_OUT]    = note_left_out,
                [FSRV_EVENT_HAND_OVER]   = let_heir_succeed,
                [FSRV_EVENT_LATE]        = give_more_time,
                [FSRV_EVENT_END]         = end_politely,
                [FSRV_EVENT_DEATH]       = on_death,
        },
        [FSRV_ZYGOTE_SLOW] = {
                [FSRV_EVENT_FORKED]      = take_standby,
                [FSRV_EVENT_CANNOT_FORK] = take_failed_fork,
                [FSRV_EVENT_LEFT_OUT]    = note_left_out,
                [FSRV_EVENT_HAND_OVER]   = let_heir_succeed,
                [FSRV_EVENT_LATE]        = end_late_fork,
                [FSRV_EVENT_END]         = end_politely,
                [FSRV_EVENT_DEATH]       = on_death,
        },
        [FSRV_ZYGOTE_ENDING] = {
                [FSRV_EVENT_FORKED]      = take_standby,
                [FSRV_EVENT_CANNOT_FORK] = take_failed_fork,
                [FSRV_EVENT_LEFT_OUT]    = note_left_out,
                [FSRV_EVENT_HAND_OVER]   = let_heir_succeed_and_end,
                [FSRV_EVENT_LATE]        = end_at_once,
                [FSRV_EVENT_DEATH]       = on_death,
        },
        /* what it said before we killed it */
        [FSRV_ZYGOTE_KILLED] = {
                [FSRV_EVENT_LOADING]     = ignore_order,
                [FSRV_EVENT_LOAD_FAILED] = note_failure,
                [FSRV_EVENT_WANTS_HEIR]  = ignore_order,
                [FSRV_EVENT_HEIR]        = take_heir,
                [FSRV_EVENT_LEFT_OUT]    = note_left_out,
                [FSRV_EVENT_HAND_OVER]   = let_heir_succeed_and_end,
                [FSRV_EVENT_FREEZING]    = ignore_order,
                [FSRV_EVENT_PRELOADED]   = ignore_order,
                [FSRV_EVENT_FORKED]      = take_standby,
                [FSRV_EVENT_CANNOT_FORK] = take_failed_fork,
                [FSRV_EVENT_DEATH]       = on_death,
        },
};
/* clang-format on */

bool fsrv__zygote_on(struct fsrv__server *s, struct fsrv__zygote *z, struct fsrv__news news) {
        zygote_action *action = actions[z->state][news.event];

        if (action)
                action(s, z, &news);
        return action;
}
