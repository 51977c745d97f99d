/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "forkserver.h"
#include "server/supervisor.h"
#include "wire/loaded.h"

enum {
        /* how long a zygote that SIGKILL hits while it loads is started again at once, or standbys are forked */
        KILLED_STARTS_MS = 10000,
        END_MS = 5000, /* for exit functions of modules */
};

/* ---- starting and ending ---- */

static void start_failed(struct fsrv__supervisor *s) {
        struct fsrv__zygote *z = &s->zygote;

        z->state = FSRV_ZYGOTE_FAILED;
        fsrv__refuse(s, z->failures++, z->failure.stage, z->failure.err, z->failure.text);
}

static void start(struct fsrv__supervisor *s) {
        s->stats.left_out[0] = 0;
        s->stats.zygote_starts++;
        if (s->stats.zygote_starts > 1)
                s->stats.zygote_restarts++;
        if (fsrv__zygote_launch(s) < 0)
                start_failed(s);
}

void fsrv__zygote_kill(struct fsrv__supervisor *s) {
        if (s->zygote.pid > 0)
                kill(s->zygote.pid, SIGKILL); /* our own child, not reaped yet */
        s->zygote.is_killed = true;
}

/* What modules have registered for the end of their process runs, as in any program that is told to end. */
void fsrv__zygote_end(struct fsrv__supervisor *s) {
        struct fsrv__zygote *z = &s->zygote;

        if (z->state != FSRV_ZYGOTE_READY || z->is_killed || shutdown(z->orders, SHUT_WR) < 0) {
                fsrv__zygote_kill(s);
                return;
        }
        z->is_ending = true;
        z->deadline = fsrv__deadline(END_MS);
}

const struct fsrv__child *fsrv__zygote_heir(struct fsrv__supervisor *s) {
        const struct fsrv__child *child = s->zygote.heir ? fsrv__child_find(s, s->zygote.heir) : NULL;

        return child && child->role == FSRV_ROLE_HEIR ? child : NULL;
}

static void describe(int code, int status, char how[64]) {
        if (code == CLD_EXITED)
                snprintf(how, 64, "exited with %d", status);
        else
                snprintf(how, 64, "was killed by SIG%s", sigabbrev_np(status));
}

static void describe_death(struct fsrv__zygote *z, const siginfo_t *info) {
        char how[64];

        describe(info->si_code, info->si_status, how);
        z->failure = (struct fsrv__wire_failed){ .type = FSRV_WIRE_FAILED,
                                                 .stage = z->loading[0] ? FSRV_STAGE_PRELOAD : FSRV_STAGE_START,
                                                 .err = EIO };
        if (z->is_freezing)
                snprintf(z->failure.text, sizeof z->failure.text, "the zygote %s while it froze its memory", how);
        else if (z->loading[0])
                snprintf(z->failure.text, sizeof z->failure.text, "the zygote %s while it loaded module '%.120s'", how,
                         z->loading);
        else
                snprintf(z->failure.text, sizeof z->failure.text, "the zygote %s before it was ready", how);
}

/* SIGKILL comes from outside (a person, the OOM killer): the module is not to blame, so try again for a while. */
static bool try_again(struct fsrv__zygote *z, const siginfo_t *info) {
        if (info->si_code != CLD_KILLED || info->si_status != SIGKILL)
                return false;
        if (z->failures++ == 0)
                z->first_failure = fsrv__now();
        return fsrv__now() - z->first_failure < KILLED_STARTS_MS;
}

void fsrv__zygote_on_exit(struct fsrv__supervisor *s, uint32_t pid) {
        struct fsrv__zygote *z = &s->zygote;
        siginfo_t info = { 0 };

        if ((pid_t)pid != z->pid || waitid(P_PID, (id_t)z->pid, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
                return;
        fsrv__zygote_on_orders(s, pid); /* what it said before it died */
        if ((pid_t)pid != z->pid)
                return; /* it has handed over */
        z->killed_freezing += z->is_freezing && info.si_code == CLD_KILLED && info.si_status == SIGKILL;
        bool was_useful = z->state == FSRV_ZYGOTE_READY && z->has_forked;
        if (fsrv__zygote_heir(s))
                fsrv__child_kill(fsrv__zygote_heir(s));
        /* Those that it did not come to tell of; where orphans become ours it may be one of those. */
        fsrv__children_find(s, s->is_reaper ? FSRV_ROLE_STRAY : FSRV_ROLE_STANDBY);
        z->pid = 0;
        z->pidfd = fsrv__fd_close(z->pidfd);
        z->orders = fsrv__fd_close(z->orders);
        z->due = 0;
        z->state = FSRV_ZYGOTE_NONE;
        if (s->draining || (was_useful && z->failure.stage == 0))
                return; /* the next one starts at once */
        if (z->failure.stage == 0) {
                if (try_again(z, &info))
                        return;
                describe_death(z, &info);
        }
        start_failed(s);
}

/* ---- its standbys ---- */

int64_t fsrv__zygote_fork_limit(const struct fsrv__supervisor *s) {
        return s->config.head.preload_timeout_ms;
}

static void describe_hang(const struct fsrv__supervisor *s, const char *what, char ret_text[FSRV_WIRE_TEXT_MAX]) {
        snprintf(ret_text, FSRV_WIRE_TEXT_MAX, "%s within %lld ms: does a fork handler of a preloaded module hang?",
                 what, (long long)fsrv__zygote_fork_limit(s));
}

/* SIGKILL comes from outside, a person or the OOM killer: go on for a while. */
static bool fork_again(struct fsrv__zygote *z, const struct fsrv__exit *exit) {
        int64_t now = fsrv__now();

        if (exit->code != CLD_KILLED || exit->status != SIGKILL)
                return false;
        if (z->last_kill == 0 || now - z->last_kill > KILLED_STARTS_MS)
                z->first_kill = now;
        z->last_kill = now;
        return now - z->first_kill < KILLED_STARTS_MS;
}

/* Its signals are blocked, and all that has run in it are fork handlers and the host's: whoever forks the next one at
 * once does so for ever, and requests would wait as long. */
void fsrv__zygote_on_standby_end(struct fsrv__supervisor *s, const struct fsrv__exit *exit, bool was_late) {
        struct fsrv__zygote *z = &s->zygote;
        char text[FSRV_WIRE_TEXT_MAX], how[64];

        if (s->draining || z->state != FSRV_ZYGOTE_READY)
                return;
        if (was_late) { /* a refusal for each: it is for when the last one is gone */
                z->hangs = true;
                describe_hang(s, "a new process was not ready", text);
                fsrv__refuse(s, z->crashes++, FSRV_STAGE_FORK, ETIMEDOUT, text);
                return;
        }
        if (s->refusal.until > fsrv__now() || fork_again(z, exit))
                return;
        describe(exit->code, exit->status, how);
        snprintf(text, sizeof text, "a new process %s before it took a request: %s?", how,
                 exit->status == SIGKILL && exit->code == CLD_KILLED
                         ? "is there too little memory"
                         : "does a fork handler of a preloaded module fail");
        fsrv__refuse(s, z->crashes++, FSRV_STAGE_FORK, EIO, text);
}

void fsrv__zygote_on_claim(struct fsrv__supervisor *s) {
        s->zygote.crashes = 0;
        s->zygote.last_kill = 0;
        s->zygote.hangs = false;
        if (s->zygote.state == FSRV_ZYGOTE_READY)
                s->refusal.until = 0;
}

/* ---- what it says ---- */

static int become_reaper(struct fsrv__supervisor *s) {
        if (s->is_reaper)
                return 0;
        if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                return -errno;
        s->is_reaper = true;
        return fsrv__signals_take_children(s);
}

static int give_sockets(struct fsrv__supervisor *s) {
        struct fsrv__zygote *z = &s->zygote;
        struct fsrv__wire_order order = { .type = FSRV_WIRE_SOCKETS };
        int orders[2];
        int r = fsrv__socketpair(orders);

        if (r < 0)
                return r;
        int fds[] = { s->doorbell, s->claims[1], orders[1] };
        r = fsrv__channel_send(z->orders, &order, offsetof(struct fsrv__wire_order, text), fds, 3, MSG_DONTWAIT);
        fsrv__fd_close(orders[1]);
        fsrv__unwatch(s, z->orders);
        fsrv__fd_close(z->orders);
        z->orders = orders[0];
        fsrv__watch(s, z->orders, EPOLLIN, FSRV_SOURCE_ORDERS, (uint32_t)z->pid);
        return r;
}

static void on_preloaded(struct fsrv__supervisor *s, bool forks_twice) {
        int r = forks_twice ? become_reaper(s) : 0;

        if (r < 0) {
                s->zygote.is_freezing = false;
                s->zygote.failure =
                        (struct fsrv__wire_failed){ .type = FSRV_WIRE_FAILED, .stage = FSRV_STAGE_START, .err = -r };
                snprintf(s->zygote.failure.text, sizeof s->zygote.failure.text,
                         "becoming the parent of orphans (PR_SET_CHILD_SUBREAPER): %s", strerrordesc_np(-r));
                fsrv__zygote_kill(s);
                return;
        }
        s->output = fsrv__fd_close(s->output);
        s->zygote.state = FSRV_ZYGOTE_READY;
        s->zygote.is_freezing = false;
        if (s->zygote.killed_freezing < FSRV_WIRE_KILLED)
                s->zygote.killed_freezing = 0;
        s->refusal.until = 0;
        if (give_sockets(s) < 0)
                fsrv__zygote_kill(s);
}

static void limit_fork(struct fsrv__supervisor *s) {
        s->zygote.is_late = false;
        s->zygote.deadline = fsrv__now() + fsrv__zygote_fork_limit(s);
}

static void on_fork_answered(struct fsrv__supervisor *s) {
        s->zygote.due -= s->zygote.due > 0;
        limit_fork(s);
}

static void on_cannot_fork(struct fsrv__supervisor *s, int err) {
        char text[FSRV_WIRE_TEXT_MAX];

        if (err == ETIMEDOUT)
                describe_hang(s, "the process between zygote and standby did not fork", text);
        else
                snprintf(text, sizeof text, "the zygote cannot fork: %s", strerrordesc_np(err));
        fsrv__refuse(s, err == ETIMEDOUT ? s->zygote.crashes++ : 0, FSRV_STAGE_FORK, err, text);
}

/* The process between zygote and standby, where there is one. */
static void on_end_by_itself(struct fsrv__supervisor *s, int status) {
        struct fsrv__exit exit = { .code = CLD_KILLED, .status = WTERMSIG(status) };

        if (WIFEXITED(status))
                exit = (struct fsrv__exit){ .code = CLD_EXITED, .status = WEXITSTATUS(status) };
        fsrv__zygote_on_standby_end(s, &exit, false);
}

/* A line of the log; what it says comes from a process that runs the user's code. */
static void on_memory(struct fsrv__supervisor *s, const char *bytes, size_t size) {
        struct fsrv__wire_memory *memory = &s->stats.memory;

        if (size != sizeof *memory)
                return;
        memcpy(memory, bytes, size);
        memory->why[sizeof memory->why - 1] = 0;
        if (s->config.path)
                fsrv__log(s, "memory: %.1f MiB frozen, %.1f collapsed, %.1f as it was%s%s",
                          (double)memory->frozen / (1 << 20), (double)memory->collapsed / (1 << 20),
                          (double)memory->left / (1 << 20), memory->why[0] ? "; " : "", memory->why);
}

static void on_loaded(struct fsrv__supervisor *s, char *bytes, size_t size) {
        struct fsrv__loaded loaded;
        char text[512];
        size_t n = 0;

        if (!s->config.path || fsrv__loaded_decode(bytes, size, &loaded) < 0)
                return;
        for (uint32_t i = 0; i < loaded.head.n_threads && n < sizeof text; i++)
                n += (size_t)snprintf(text + n, sizeof text - n, ", thread '%s'", loaded.threads[i]);
        for (uint32_t i = 0; i < loaded.head.n_fds && n < sizeof text; i++)
                n += (size_t)snprintf(text + n, sizeof text - n, ", fd %s (%s)", loaded.fds[i].number,
                                      loaded.fds[i].kind);
        text[n < sizeof text ? n : sizeof text - 1] = 0;
        fsrv__log(s, "module '%.120s': %s in %.1f ms%s%.300s", s->zygote.loading, loaded.head.err ? "failed" : "loaded",
                  (double)loaded.head.load_us / 1000, n ? "; leaves" : "", n ? text + 1 : "");
        fsrv__loaded_done(&loaded);
}

/* ---- its heir ---- */

static void on_wants_heir(struct fsrv__supervisor *s, bool forks_twice) {
        struct fsrv__wire_order order = { .type = FSRV_WIRE_FORK };

        if ((!forks_twice || become_reaper(s) == 0))
                fsrv__channel_send(s->zygote.orders, &order, offsetof(struct fsrv__wire_order, text), NULL, 0,
                                   MSG_DONTWAIT);
        else
                fsrv__zygote_kill(s);
}

/* The old one tells it so next, and ends. */
static void on_hand_over(struct fsrv__supervisor *s) {
        struct fsrv__zygote *z = &s->zygote;
        const struct fsrv__child *heir = fsrv__zygote_heir(s);
        pid_t old = z->pid;

        if (!heir)
                return;
        z->pid = heir->pid;
        z->pidfd = fsrv__fd_close(z->pidfd);
        z->pidfd = fsrv__child_release(s, z->pid);
        fsrv__watch(s, z->pidfd, EPOLLIN, FSRV_SOURCE_ZYGOTE, (uint32_t)z->pid);
        fsrv__unwatch(s, z->orders);
        fsrv__watch(s, z->orders, EPOLLIN, FSRV_SOURCE_ORDERS, (uint32_t)z->pid);
        fsrv__child_add(s, old, FSRV_ROLE_RETIRED); /* or it has ended, and been reaped */
        if (s->draining)
                fsrv__zygote_kill(s);
}

static void on_left_out(struct fsrv__supervisor *s, const struct fsrv__wire_order *order) {
        memcpy(s->stats.left_out, order->text, sizeof s->stats.left_out);
        s->stats.left_out[sizeof s->stats.left_out - 1] = 0;
        fsrv__log(s, "each process loads a module by itself: %s", s->stats.left_out);
}

static void on_order(struct fsrv__supervisor *s, const struct fsrv__wire_order *order) {
        struct fsrv__zygote *z = &s->zygote;

        switch (order->type) {
        case FSRV_WIRE_LOADING:
                memcpy(z->loading, order->text, sizeof z->loading);
                z->loading[sizeof z->loading - 1] = 0;
                break;
        case FSRV_WIRE_LOAD_FAILED:
                z->failure = (struct fsrv__wire_failed){ .type = FSRV_WIRE_FAILED,
                                                         .stage = z->loading[0] ? FSRV_STAGE_PRELOAD : FSRV_STAGE_START,
                                                         .err = order->err };
                memcpy(z->failure.text, order->text, sizeof z->failure.text);
                z->failure.text[sizeof z->failure.text - 1] = 0;
                break;
        case FSRV_WIRE_WANTS_HEIR:
                on_wants_heir(s, order->value);
                break;
        case FSRV_WIRE_HEIR:
                fsrv__child_add(s, order->value, FSRV_ROLE_HEIR);
                z->heir = order->value;
                break;
        case FSRV_WIRE_HAND_OVER:
                on_hand_over(s);
                break;
        case FSRV_WIRE_LEFT_OUT:
                on_left_out(s, order);
                break;
        case FSRV_WIRE_FREEZING:
                z->is_freezing = true;
                break;
        case FSRV_WIRE_PRELOADED:
                on_preloaded(s, order->value);
                break;
        case FSRV_WIRE_FORKED:
                on_fork_answered(s);
                z->has_forked = true;
                z->failures = 0;
                fsrv__child_on_forked(s, order->value);
                break;
        case FSRV_WIRE_CANNOT_FORK:
                on_fork_answered(s);
                if (order->err)
                        on_cannot_fork(s, order->err);
                else
                        on_end_by_itself(s, order->value);
                break;
        }
}

void fsrv__zygote_on_orders(struct fsrv__supervisor *s, uint32_t pid) {
        struct fsrv__zygote *z = &s->zygote;
        static char bytes[FSRV_WIRE_MESSAGE_MAX];
        struct fsrv__wire_order order;
        struct fsrv__message message;

        while ((pid_t)pid == z->pid && z->orders >= 0) {
                int r = fsrv__channel_receive(z->orders, bytes, sizeof bytes, MSG_DONTWAIT, &message);
                if (r == 0 || (r < 0 && r != -EAGAIN)) { /* its end; the pidfd tells when it has died */
                        fsrv__unwatch(s, z->orders);
                        return;
                }
                if (r < 0)
                        return;
                fsrv__message_close(&message);
                memset(&order, 0, sizeof order);
                memcpy(&order, bytes, message.size < sizeof order ? message.size : sizeof order);
                if (order.type == FSRV_WIRE_LOADED)
                        on_loaded(s, bytes, message.size);
                else if (order.type == FSRV_WIRE_MEMORY)
                        on_memory(s, bytes, message.size);
                else
                        on_order(s, &order);
        }
}

/* ---- orders to it ---- */

static void order_standbys(struct fsrv__supervisor *s) {
        struct fsrv__zygote *z = &s->zygote;
        uint32_t type = FSRV_WIRE_FORK;

        if (s->refusal.until > fsrv__now())
                return; /* a fork has just failed */
        /* while one after the other is replaced, requests would wait for ever: let all of them end first */
        if (z->hangs && s->idle > 0)
                return;
        /* one, while an heir may bring better ones */
        unsigned wanted = fsrv__zygote_heir(s) ? 1 : s->config.head.standbys;
        while (s->idle + z->due < wanted && fsrv__child_fits(s)) {
                struct fsrv__wire_order order = { .type = type };
                if (fsrv__channel_send(z->orders, &order, offsetof(struct fsrv__wire_order, text), NULL, 0,
                                       MSG_DONTWAIT) < 0)
                        return;
                if (z->due++ == 0)
                        limit_fork(s);
        }
}

void fsrv__zygote_replenish(struct fsrv__supervisor *s) {
        if (s->draining)
                return;
        if (s->zygote.state == FSRV_ZYGOTE_NONE && s->refusal.until <= fsrv__now())
                start(s);
        if (s->zygote.state == FSRV_ZYGOTE_READY)
                order_standbys(s);
}

bool fsrv__zygote_has_deadline(const struct fsrv__supervisor *s) {
        const struct fsrv__zygote *z = &s->zygote;

        return !z->is_killed &&
               (z->state == FSRV_ZYGOTE_LOADING || z->is_ending || (z->state == FSRV_ZYGOTE_READY && z->due > 0));
}

static void on_late_loading(struct fsrv__supervisor *s) {
        struct fsrv__zygote *z = &s->zygote;

        fsrv__zygote_kill(s);
        if (z->failure.stage)
                return; /* it has said why it ends, and doesn't */
        z->failure = (struct fsrv__wire_failed){ .type = FSRV_WIRE_FAILED,
                                                 .stage = z->loading[0] ? FSRV_STAGE_PRELOAD : FSRV_STAGE_START,
                                                 .err = ETIMEDOUT };
        snprintf(z->failure.text, sizeof z->failure.text, "module '%.120s' did not finish loading within %u ms%s",
                 z->loading, s->config.head.preload_timeout_ms,
                 z->is_freezing ? " (it was loaded, but its memory was not frozen)" : "");
}

/* It gets half as long again: it may have been stopped together with us. */
static void on_late_fork(struct fsrv__supervisor *s) {
        struct fsrv__zygote *z = &s->zygote;

        if (!z->is_late) {
                z->is_late = true;
                z->deadline = fsrv__now() + fsrv__zygote_fork_limit(s) / 2 + 1;
                return;
        }
        z->failure = (struct fsrv__wire_failed){ .type = FSRV_WIRE_FAILED, .stage = FSRV_STAGE_FORK, .err = ETIMEDOUT };
        describe_hang(s, "the zygote did not fork", z->failure.text);
        fsrv__zygote_kill(s);
}

void fsrv__zygote_on_time(struct fsrv__supervisor *s, int64_t now) {
        const struct fsrv__zygote *z = &s->zygote;

        if (!fsrv__zygote_has_deadline(s) || now < z->deadline)
                return;
        fsrv__zygote_on_orders(s, (uint32_t)z->pid); /* what it has said meanwhile */
        if (!fsrv__zygote_has_deadline(s) || now < z->deadline)
                return;
        if (z->is_ending)
                fsrv__zygote_kill(s);
        else if (z->state == FSRV_ZYGOTE_LOADING)
                on_late_loading(s);
        else
                on_late_fork(s);
}
