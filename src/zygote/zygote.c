/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/zygote.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/title.h"
#include "forkserver-host.h"
#include "wire/config.h"
#include "wire/order.h"
#include "wire/readiness.h"
#include "worker/worker.h"
#include "zygote/boot.h"
#include "zygote/fork.h"
#include "zygote/heir.h"
#include "zygote/hook.h"
#include "zygote/hot.h"
#include "zygote/locked.h"
#include "zygote/memory.h"
#include "zygote/module.h"
#include "zygote/patience.h"
#include "zygote/preload.h"
#include "zygote/trial.h"

/* The server has set it for the zygote alone. */
static void forget_bind_now(void) {
        const char *value = getenv("LD_BIND_NOW");

        if (value && strcmp(value, FSRV_WIRE_BIND_NOW) == 0)
                unsetenv("LD_BIND_NOW");
}

/* Modules may have installed handlers and blocked or ignored signals; a worker starts from the defaults. All signals
 * stay blocked in zygote and standbys, which only the server ends, but SIGSYS, which forks use. */
static void reset_signals(void) {
        struct sigaction action = { .sa_handler = SIG_DFL };
        sigset_t mask;

        /* In this order: a signal that the server ignores, and this process too, may come between the two. */
        sigfillset(&mask);
        sigdelset(&mask, SIGSYS);
        sigprocmask(SIG_SETMASK, &mask, NULL);
        for (int s = 1; s <= SIGRTMAX; s++)
                sigaction(s, &action, NULL);
        fsrv__readiness_hide(); /* until forks are caught by SIGSYS, whose handler does that as well */
}

/* Nothing is to write to memory after this. 0; -1: the server has gone. */
static int settle_memory(int boot, const struct fsrv__config *config, const struct fsrv_host *host,
                         struct fsrv__standby *standby, struct fsrv__wire_memory *ret_memory) {
        struct fsrv__memory_report report;

        fsrv__hot_rehearse(host);
        if (boot >= 0 && fsrv__order_send(boot, FSRV_WIRE_FREEZING, 0, 0, NULL) < 0)
                return -1;
        fsrv__memory_settle(config->head.memory, config->head.killed, &report);
        if (report.memory.why[0] && config->head.memory != FSRV_MEMORY_AUTO)
                dprintf(STDERR_FILENO, "forkserver: memory is not %s: %s\n",
                        config->head.memory == FSRV_MEMORY_FREEZE ? "frozen" : "collapsed", report.memory.why);
        standby->core_filter = report.core_filter;
        *ret_memory = report.memory;
        int r = 0;
        if (boot >= 0 && config->head.measure == FSRV_WIRE_MEASURE_MAPPINGS)
                r = fsrv__boot_send_mappings(boot, &report.mappings);
        fsrv__list_done(&report.mappings);
        return r < 0 ? -1 : 0;
}

/* The working sockets come only now, so that helper processes which modules have started hold none of them. */
static int receive_sockets(int boot, const struct fsrv__wire_memory *memory, int ret_slots[FSRV_SLOTS]) {
        struct fsrv__wire_order order;
        int r = fsrv__channel_send(boot, memory, sizeof *memory, NULL, 0, 0);

        if (r == 0)
                r = fsrv__locked_say_preloaded(boot);
        if (r < 0)
                return r;
        r = fsrv__order_receive(boot, FSRV_TABLE_TO_ZYGOTE, FSRV_NEVER, &order, ret_slots);
        if (r != 1)
                return r < 0 ? r : -EPIPE;
        return order.type == FSRV_WIRE_SOCKETS ? 0 : -EPROTO;
}

/* Doorbell, claims, orders: from the server, or, for an heir, from the zygote that has used them. */
static int take_sockets(struct fsrv__heir *heir, int boot, const struct fsrv__wire_memory *memory,
                        int ret_slots[FSRV_SLOTS]) {
        int r = 0;

        if (heir->is_me)
                r = fsrv__heir_succeed(heir, ret_slots);
        if (r == 1)
                return fsrv__channel_send(ret_slots[FSRV_SLOT_ORDERS], memory, sizeof *memory, NULL, 0, 0);
        if (r == 0)
                r = receive_sockets(boot, memory, ret_slots);
        return r;
}

/* 1: one standby is to be forked, or a zygote, with the fds in ret_slots; 0: the server is gone, or this zygote has an
 * heir. */
static int next_order(int orders, const struct fsrv__standby *standby, struct fsrv__heir *heir,
                      struct fsrv__wire_order *ret_order, int ret_slots[FSRV_SLOTS]) {
        int slots[FSRV_SLOTS] = FSRV_NO_FDS;

        if (fsrv__heir_is_ready(heir, orders, FSRV_NEVER)) {
                slots[FSRV_SLOT_DOORBELL] = standby->doorbell;
                slots[FSRV_SLOT_CLAIMS] = standby->claims;
                slots[FSRV_SLOT_ORDERS] = orders;
                fsrv__heir_hand_over(heir, slots);
                return 0;
        }
        int r = fsrv__order_receive(orders, FSRV_TABLE_TO_ZYGOTE, FSRV_NEVER, ret_order, ret_slots);
        if (r != 1)
                return r;
        return ret_order->type == FSRV_WIRE_SOCKETS ? -EPROTO : 1;
}

/* Returns 1 in the standby; in the zygote 0 or -errno. */
static int fork_standby(int orders, const struct fsrv__standby *standby) {
        const struct fsrv_host *host = standby->host;

        fsrv__hook_run(host->before_fork);
        pid_t pid = fsrv__fork_sibling(orders, standby->config);
        if (pid == 0) {
                fsrv__hot_copy(); /* before anything is written to, or it comes too late */
                fsrv__hook_run(host->after_fork_child);
                return 1;
        }
        fsrv__hook_run(host->after_fork_zygote);
        if (pid == FSRV_FORK_TOLD)
                return 0;
        if (pid < 0)
                return fsrv__order_send(orders, FSRV_WIRE_CANNOT_FORK, -pid, 0, NULL);
        return fsrv__order_send(orders, FSRV_WIRE_FORKED, 0, pid, NULL);
}

/* Does what the server says until that is gone. Returns 1 in a standby, with the orders socket of its zygote in
 * heir->server; in the zygote 0 or -errno. */
static int follow_orders(struct fsrv__standby *standby, struct fsrv__heir *heir) {
        int *orders = &heir->server, slots[FSRV_SLOTS], r;
        struct fsrv__wire_order order;

        while ((r = next_order(*orders, standby, heir, &order, slots)) == 1) {
                if (order.type == FSRV_WIRE_FORK_ZYGOTE)
                        fsrv__locked_fork(slots[FSRV_SLOT_ORDERS], slots[FSRV_SLOT_BODY], standby, orders);
                else if ((r = fork_standby(*orders, standby)) != 0)
                        break;
        }
        if (standby->lock && r != 1)
                _exit(0); /* exit functions of modules are the other zygote's */
        return r;
}

static void set_title(const struct fsrv__config *config) {
        char names[FSRV_TITLE_SIZE] = "";
        size_t n = 0;

        for (char **module = config->modules; *module && n < sizeof names - 1; module++) {
                bool is_program = config->argv && strcmp(*module, FSRV_PRELOAD_MAIN) == 0;
                n += (size_t)snprintf(names + n, sizeof names - n, " %s", is_program ? config->argv[0] : *module);
        }
        fsrv__title_set("forkserver: zygote", names);
}

/* A handler of the program's that ran between fork()'s prepare phase and its clone could not return. */
static int init_fork(void) {
        sigset_t all, before;

        sigfillset(&all);
        sigdelset(&all, SIGSYS);
        sigprocmask(SIG_BLOCK, &all, &before);
        int r = fsrv__fork_init();
        sigprocmask(SIG_SETMASK, &before, NULL);
        return r;
}

/* What a module has left in a buffer would be written by each worker. And the zygote lets go of the client's output, so
 * that the reader of that need not wait for its end. */
static void end_loading(const struct fsrv__config *config, const struct fsrv_host *host) {
        fsrv__hook_run(host->loaded);
        fflush(NULL);
        if (config->head.has_output)
                dup2(STDERR_FILENO, STDOUT_FILENO);
        reset_signals();
        fsrv__task_adopt_environment();
}

/* That of all its processes. 0 or -errno. */
static int enter_sandbox(int boot, int sandbox, struct fsrv__standby *standby) {
        struct fsrv_error error;
        int r = sandbox < 0 ? 0 : fsrv__locked_enter(sandbox, standby, &error);

        if (r < 0)
                fsrv__order_send(boot, FSRV_WIRE_LOAD_FAILED, error.err, 0, error.text);
        return r;
}

/* Returns 1 in a standby, 0 when the zygote is to end. */
static int serve_as_zygote(int boot, int sandbox, const struct fsrv__config *config, const struct fsrv_host *host,
                           struct fsrv__heir *heir, struct fsrv__standby *standby) {
        struct fsrv__wire_memory memory;
        int slots[FSRV_SLOTS];

        end_loading(config, host);
        standby->config = &config->head;
        standby->host = host;
        if (settle_memory(heir->is_me ? -1 : boot, config, host, standby, &memory) < 0 ||
            enter_sandbox(boot, sandbox, standby) < 0 || take_sockets(heir, boot, &memory, slots) < 0)
                return 0;
        fsrv__fd_close(boot);
        standby->doorbell = slots[FSRV_SLOT_DOORBELL];
        standby->claims = slots[FSRV_SLOT_CLAIMS];
        heir->server = slots[FSRV_SLOT_ORDERS];
        if (follow_orders(standby, heir) != 1)
                return 0;
        fsrv__fd_close(heir->server);
        if (heir->sock >= 0)
                fsrv__fd_close(heir->sock);
        fsrv__fd_close(heir->pidfd);
        return 1;
}

int fsrv__zygote_run(int boot, const struct fsrv_host *host) {
        static struct fsrv__config config;
        static struct fsrv__standby standby;
        static struct fsrv__heir heir = FSRV_HEIR_NONE;
        int sandbox = -1;
        char title[FSRV_TITLE_SIZE]; /* on a page that each child writes to, unlike that of argv */
        int64_t started = fsrv__now();
        int r;

        r = fsrv__boot_receive_config(boot, &config, &sandbox);
        if (r < 0) {
                fsrv__order_send(boot, FSRV_WIRE_LOAD_FAILED, -r, 0,
                                 r == -EPROTONOSUPPORT
                                         ? "server and zygote are of different versions: was forkserver upgraded?"
                                         : "the zygote's configuration did not arrive");
                return 1;
        }
        fsrv__patience_set(config.head.preload_timeout_ms);
        if (config.head.entries_only)
                fsrv__module_restrict();
        forget_bind_now();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != config.head.server)
                return 0; /* the server died before that */
        fsrv__title_move(title);
        set_title(&config);
        r = init_fork();
        if (r < 0 || fsrv__preload(boot, &config, host) < 0 || fsrv__preload_check_threads(boot, &config, host) < 0 ||
            fsrv__trial_run(&heir, boot, started, &config, host) != 0 ||
            serve_as_zygote(boot, sandbox, &config, host, &heir, &standby) != 1)
                return !heir.has_taken_over;
        fsrv__standby_run(&standby);
}
