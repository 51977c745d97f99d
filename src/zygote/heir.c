/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/heir.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/linux.h"
#include "zygote/fork.h"
#include "zygote/hook.h"

/* The server may have to become the reaper of orphans first. */
static int ask_server_for_heir(int boot) {
        struct fsrv__wire_order order;
        int none[FSRV_SLOTS];
        int r = fsrv__order_send(boot, FSRV_WIRE_WANTS_HEIR, 0, fsrv__fork_is_twice(), NULL);

        if (r < 0)
                return r;
        r = fsrv__order_receive(boot, FSRV_TABLE_TO_ZYGOTE, FSRV_NEVER, &order, none);
        if (r != 1)
                return r < 0 ? r : -EPIPE;
        return order.type == FSRV_WIRE_FORK ? 0 : -EPROTO;
}

/* The heir loads nothing until the server knows of it: the server sees to its end. */
static int meet_zygote(const struct fsrv__heir *heir) {
        struct fsrv__wire_order order;
        int none[FSRV_SLOTS];
        int r = fsrv__order_send(heir->sock, FSRV_WIRE_HEIR, 0, getpid(), NULL);

        if (r < 0)
                return r;
        r = fsrv__order_receive(heir->sock, FSRV_TABLE_TO_HEIR, FSRV_NEVER, &order, none);
        if (r != 1)
                return r < 0 ? r : -EPIPE;
        return order.type == FSRV_WIRE_HEIR ? 0 : -EPROTO;
}

static int meet_heir(struct fsrv__heir *heir, int limit_ms) {
        struct fsrv__wire_order order;
        int none[FSRV_SLOTS];
        int r = fsrv__order_receive(heir->sock, FSRV_TABLE_FROM_HEIR, fsrv__deadline(limit_ms), &order, none);

        if (r != 1)
                return r < 0 ? r : -EPIPE;
        if (order.type != FSRV_WIRE_HEIR)
                return -EPROTO;
        heir->pidfd = fsrv__pidfd_open(order.value);
        heir->limit_ms = limit_ms;
        heir->deadline = fsrv__deadline(limit_ms);
        r = fsrv__order_send(heir->server, FSRV_WIRE_HEIR, 0, order.value, NULL);
        return r < 0 ? r : fsrv__order_send(heir->sock, FSRV_WIRE_HEIR, 0, 0, NULL);
}

static void forget_heir(struct fsrv__heir *heir) {
        heir->sock = fsrv__fd_close(heir->sock);
        heir->pidfd = fsrv__fd_close(heir->pidfd);
}

int fsrv__heir_fork(struct fsrv__heir *heir, int boot, const char *module, const struct fsrv__wire_config *config,
                    const struct fsrv_host *host) {
        sigset_t all, before;
        int ends[2], r = ask_server_for_heir(boot);

        if (r == 0)
                r = fsrv__socketpair(ends);
        if (r < 0)
                return r;
        heir->module = module;
        heir->server = boot;
        /* A signal's handler that ran between fork()'s prepare phase and its clone could not return. */
        sigfillset(&all);
        sigdelset(&all, SIGSYS);
        sigprocmask(SIG_BLOCK, &all, &before);
        fsrv__hook_run(host->before_fork);
        pid_t pid = fsrv__fork_heir(config);
        heir->is_me = pid == 0;
        fsrv__hook_run(heir->is_me ? host->after_fork_child : host->after_fork_zygote);
        sigprocmask(SIG_SETMASK, &before, NULL);
        heir->sock = ends[heir->is_me];
        fsrv__fd_close(ends[!heir->is_me]);
        if (heir->is_me && meet_zygote(heir) < 0)
                _exit(1);
        if (heir->is_me)
                return 0;
        r = pid < 0 ? pid : meet_heir(heir, (int)config->preload_timeout_ms);
        if (r < 0)
                forget_heir(heir);
        return r;
}

/* ---- in the zygote ---- */

static void give_heir_up(struct fsrv__heir *heir, int err, const char *why) {
        heir->failure = err;
        snprintf(heir->why, sizeof heir->why, "%s", why);
        fsrv__order_send(heir->server, FSRV_WIRE_LEFT_OUT, err, 0, why);
        forget_heir(heir);
}

static void end_late_heir(struct fsrv__heir *heir) {
        char why[FSRV_WIRE_TEXT_MAX];

        fsrv__pidfd_send_signal(heir->pidfd, SIGKILL);
        snprintf(why, sizeof why, "module '%.120s' did not finish loading within %d ms", heir->module, heir->limit_ms);
        give_heir_up(heir, ETIMEDOUT, why);
}

/* True when it is ready. */
static bool hear_heir(struct fsrv__heir *heir) {
        struct fsrv__wire_order order;
        int none[FSRV_SLOTS];
        char why[FSRV_WIRE_TEXT_MAX];
        int r = fsrv__order_receive(heir->sock, FSRV_TABLE_FROM_HEIR, 0, &order, none);

        if (r == 1 && order.type == FSRV_WIRE_PRELOADED)
                return true;
        if (r == 1) {
                give_heir_up(heir, order.err, order.text);
                return false;
        }
        fsrv__pidfd_send_signal(heir->pidfd, SIGKILL); /* it may have closed the socket, and run still */
        snprintf(why, sizeof why, "module '%.120s' ended the process that loaded it, or closed its fds", heir->module);
        give_heir_up(heir, EIO, why);
        return false;
}

bool fsrv__heir_is_ready(struct fsrv__heir *heir, int orders, int64_t until) {
        while (heir->sock >= 0) {
                struct pollfd entries[] = { { .fd = heir->sock, .events = POLLIN },
                                            { .fd = orders, .events = POLLIN } };
                int64_t deadline = until < heir->deadline ? until : heir->deadline;

                if (poll(entries, 2, fsrv__left(deadline)) < 0)
                        continue;
                if (entries[0].revents) {
                        if (hear_heir(heir))
                                return true;
                } else if (entries[1].revents) {
                        return false;
                } else if (fsrv__now() >= heir->deadline) {
                        end_late_heir(heir);
                } else if (fsrv__now() >= until) {
                        return false;
                }
        }
        return false;
}

/* The server is told first: it is not to hear of a standby of the heir's before. */
void fsrv__heir_hand_over(struct fsrv__heir *heir, const int slots[FSRV_SLOTS]) {
        struct fsrv__wire_order order = { .type = FSRV_WIRE_SOCKETS, .value = slots != NULL };
        int fds[FSRV_SLOTS];
        size_t n_fds = fsrv__message_pack(FSRV_TABLE_TO_HEIR, &order, slots, NULL, fds);

        heir->has_taken_over = true;
        if (fsrv__order_send(heir->server, FSRV_WIRE_HAND_OVER, 0, 0, NULL) == 0)
                fsrv__channel_send(heir->sock, &order, offsetof(struct fsrv__wire_order, text), fds, n_fds, 0);
}

/* ---- in the heir ---- */

void fsrv__heir_give_up(const struct fsrv__heir *heir, int err, const char *why) {
        fsrv__order_send(heir->sock, FSRV_WIRE_LEFT_OUT, err, 0, why);
        _exit(0);
}

int fsrv__heir_succeed(struct fsrv__heir *heir, int ret_slots[FSRV_SLOTS]) {
        struct fsrv__wire_order order;
        int r = fsrv__order_send(heir->sock, FSRV_WIRE_PRELOADED, 0, 0, NULL);

        if (r < 0)
                return r;
        r = fsrv__order_receive(heir->sock, FSRV_TABLE_TO_HEIR, FSRV_NEVER, &order, ret_slots);
        heir->sock = fsrv__fd_close(heir->sock);
        if (r != 1)
                return r < 0 ? r : -EPIPE;
        if (order.type != FSRV_WIRE_SOCKETS)
                return -EPROTO;
        return order.value & 1;
}
