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
#include "zygote/freeze.h"
#include "zygote/hot.h"
#include "zygote/measure.h"

static int tell(int sock, uint32_t type, int err, int value, const char *text) {
        struct fsrv_wire_order order = { .type = type, .err = err, .value = value };
        size_t size = offsetof(struct fsrv_wire_order, text);

        if (text) {
                snprintf(order.text, sizeof order.text, "%s", text);
                size = sizeof order;
        }
        return fsrv_channel_send(sock, &order, size, NULL, 0, 0);
}

static void call(void (*hook)(void)) {
        if (hook)
                hook();
}

/* The server has set it for us alone. */
static void forget_bind_now(void) {
        const char *value = getenv("LD_BIND_NOW");

        if (value && strcmp(value, FSRV_WIRE_BIND_NOW) == 0)
                unsetenv("LD_BIND_NOW");
}

/* On the stack, as in load(): what workers write to in static memory is to lie close together. */
static int receive_config(int boot, struct fsrv_config *ret_config) {
        char bytes[FSRV_WIRE_MESSAGE_MAX];
        struct fsrv_message message;
        int r = fsrv_channel_receive(boot, bytes, sizeof bytes, 0, &message);

        if (r != 1)
                return r < 0 ? r : -EPROTO;
        fsrv_message_close(&message);
        return fsrv_config_decode(bytes, message.size, ret_config);
}

/* Loads one module and tells what it did. 0, 1 when nobody listens, or -errno of the loading. */
static int load(int boot, const char *module, const struct fsrv_config *config, const struct fsrv_host *host,
                struct fsrv_error *error) {
        char bytes[FSRV_WIRE_MESSAGE_MAX];
        bool measure = config->head.measure;

        /* So that the server can name the module if it crashes us or never comes back. */
        if (tell(boot, FSRV_WIRE_LOADING, 0, 0, module) < 0)
                return 1;
        error->text[0] = 0;
        fsrv_measure_begin(measure);
        int r = host->preload(module, error);
        if (measure && fsrv_measure_has_threads())
                fsrv_measure_fork_once(host); /* what is gone after it is no harm */
        size_t size = fsrv_measure_end(module, r < 0 ? error->err : 0, r < 0 ? error->text : "", bytes);
        return fsrv_channel_send(boot, bytes, size, NULL, 0, 0) < 0 ? 1 : r;
}

/* 0, or -1 after the server was told that this zygote is of no use. */
static int preload(int boot, const struct fsrv_config *config, const struct fsrv_host *host) {
        for (char **module = config->modules; *module; module++) {
                struct fsrv_error error;
                int r = load(boot, *module, config, host, &error);

                if (r == 1)
                        return -1;
                if (r == 0 || config->head.policy == FSRV_PRELOAD_IGNORE)
                        continue;
                if (config->head.policy == FSRV_PRELOAD_FAIL) {
                        tell(boot, FSRV_WIRE_LOAD_FAILED, error.err, 0, error.text);
                        return -1;
                }
                dprintf(STDERR_FILENO, "forkserver: preload: %s\n", error.text);
        }
        return 0;
}

/* A child has none of the zygote's threads, and may find a lock that one of them held. */
static int check_threads(int boot, const struct fsrv_config *config, const struct fsrv_host *host) {
        char text[FSRV_WIRE_TEXT_MAX];

        if (!fsrv_measure_has_threads())
                return 0;
        fsrv_measure_fork_once(host);
        if (config->head.thread_policy == FSRV_PRELOAD_IGNORE || !fsrv_measure_has_threads())
                return 0;
        fsrv_measure_describe_threads(text, sizeof text);
        if (config->head.thread_policy == FSRV_PRELOAD_FAIL) {
                tell(boot, FSRV_WIRE_LOAD_FAILED, EBUSY, 0, text);
                return -1;
        }
        dprintf(STDERR_FILENO, "forkserver: preload: %s\n", text);
        return 0;
}

/* Modules may have installed handlers and blocked or ignored signals; a worker starts from the defaults. All signals
 * stay blocked in zygote and standbys, which only the server ends; SIGSYS is how we fork. */
static void reset_signals(void) {
        struct sigaction action = { .sa_handler = SIG_DFL };
        sigset_t mask;

        /* In this order: what the server ignores, and we with it, may come between the two. */
        sigfillset(&mask);
        sigdelset(&mask, SIGSYS);
        sigprocmask(SIG_SETMASK, &mask, NULL);
        for (int s = 1; s <= SIGRTMAX; s++)
                sigaction(s, &action, NULL);
        /* until forks are caught by it: the mark by which the server knows us from a standby that is ready */
        signal(SIGSYS, SIG_IGN);
}

static int tell_of_mappings(int boot, const struct fsrv_list *mappings) {
        const struct fsrv_mapping *mapping = mappings->items;
        int r = 0;

        for (size_t i = 0; r == 0 && i < mappings->n; i++) {
                struct fsrv_wire_mapping told = { .type = FSRV_WIRE_MAPPING,
                                                  .start = mapping[i].start,
                                                  .end = mapping[i].end,
                                                  .frozen = mapping[i].frozen,
                                                  .collapsed = mapping[i].collapsed,
                                                  .left = mapping[i].left };
                snprintf(told.what, sizeof told.what, "%s", mapping[i].name);
                snprintf(told.why, sizeof told.why, "%s", mapping[i].why ? mapping[i].why : "");
                r = fsrv_channel_send(boot, &told, sizeof told, NULL, 0, 0);
        }
        return r;
}

/* Last of all that writes to memory. 0, or -1 when nobody listens. */
static int freeze(int boot, const struct fsrv_config *config, const struct fsrv_host *host, struct fsrv_birth *birth) {
        struct fsrv_freeze_report report;

        fsrv_hot_rehearse(host);
        if (tell(boot, FSRV_WIRE_FREEZING, 0, 0, NULL) < 0)
                return -1;
        fsrv_freeze(config->head.memory, config->head.killed, &report);
        if (report.memory.why[0] && config->head.memory != FSRV_MEMORY_AUTO)
                dprintf(STDERR_FILENO, "forkserver: memory is not %s: %s\n",
                        config->head.memory == FSRV_MEMORY_FREEZE ? "frozen" : "collapsed", report.memory.why);
        birth->core_filter = report.core_filter;
        int r = config->head.measure == FSRV_WIRE_MEASURE_MAPPINGS ? tell_of_mappings(boot, &report.mappings) : 0;
        fsrv_list_done(&report.mappings);
        return r < 0 || fsrv_channel_send(boot, &report.memory, sizeof report.memory, NULL, 0, 0) < 0 ? -1 : 0;
}

/* Our working sockets come only now: helper processes that modules have started hold none of them. */
static int receive_sockets(int boot, struct fsrv_birth *birth, int *ret_orders) {
        struct fsrv_wire_order order;
        struct fsrv_message message;
        int r = fsrv_channel_receive(boot, &order, sizeof order, 0, &message);

        if (r != 1)
                return r < 0 ? r : -EPIPE;
        if (order.type != FSRV_WIRE_SOCKETS || message.n_fds != 3) {
                fsrv_message_close(&message);
                return -EPROTO;
        }
        birth->doorbell = message.fds[0];
        birth->claims = message.fds[1];
        *ret_orders = message.fds[2];
        return 0;
}

/* Until the server is gone. Returns in a child only: 1; else 0 or -errno. */
static int obey(int orders, const struct fsrv_birth *birth) {
        const struct fsrv_host *host = birth->host;

        for (;;) {
                struct fsrv_wire_order order;
                struct fsrv_message message;
                int r = fsrv_channel_receive(orders, &order, sizeof order, 0, &message);

                if (r != 1)
                        return r;
                fsrv_message_close(&message);
                if (order.type != FSRV_WIRE_FORK)
                        return -EPROTO;
                call(host->before_fork);
                pid_t pid = fsrv_fork_sibling(orders, birth->config);
                if (pid == 0) {
                        fsrv_hot_copy(); /* before anything is written to, or it comes too late */
                        call(host->after_fork_child);
                        return 1;
                }
                call(host->after_fork_zygote);
                if (pid == FSRV_FORK_TOLD)
                        continue;
                r = pid < 0 ? tell(orders, FSRV_WIRE_CANNOT_FORK, -pid, 0, NULL)
                            : tell(orders, FSRV_WIRE_FORKED, 0, pid, NULL);
                if (r < 0)
                        return r;
        }
}

static void set_title(const struct fsrv_config *config) {
        char names[FSRV_TITLE_SIZE] = "";
        size_t n = 0;

        for (char **module = config->modules; *module && n < sizeof names - 1; module++) {
                bool is_program = config->argv && strcmp(*module, FSRV_PRELOAD_MAIN) == 0;
                n += (size_t)snprintf(names + n, sizeof names - n, " %s", is_program ? config->argv[0] : *module);
        }
        fsrv_title_set("forkserver: zygote", names);
}

/* A program's own handler, if it ran between fork()'s prepare phase and its clone, could not return. */
static int init_fork(void) {
        sigset_t all, before;

        sigfillset(&all);
        sigdelset(&all, SIGSYS);
        sigprocmask(SIG_BLOCK, &all, &before);
        int r = fsrv_fork_init();
        sigprocmask(SIG_SETMASK, &before, NULL);
        return r;
}

static int64_t loaded_by;

int64_t fsrv_zygote_patience(void) {
        int64_t left = loaded_by - fsrv_now();

        return left > 0 ? left / 2 : 0;
}

int fsrv_zygote_run(int boot, const struct fsrv_host *host) {
        static struct fsrv_config config;
        static struct fsrv_birth birth;
        char title[FSRV_TITLE_SIZE]; /* on a page that each child writes to, unlike that of argv */
        int orders, r;

        r = receive_config(boot, &config);
        if (r < 0) {
                tell(boot, FSRV_WIRE_LOAD_FAILED, -r, 0,
                     r == -EPROTONOSUPPORT ? "server and zygote are of different versions: was forkserver upgraded?"
                                           : "the zygote's configuration did not arrive");
                return 1;
        }
        loaded_by = fsrv_deadline(config.head.preload_timeout_ms);
        forget_bind_now();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != config.head.server)
                return 0; /* it died before that */
        fsrv_title_move(title);
        set_title(&config);
        r = init_fork();
        if (r < 0 || preload(boot, &config, host) < 0 || check_threads(boot, &config, host) < 0)
                return 1;
        call(host->loaded);
        fflush(NULL); /* or every worker would write what a module left in a buffer */
        if (config.head.has_output)
                dup2(STDERR_FILENO, STDOUT_FILENO); /* whoever reads what the client writes doesn't wait for our end */
        reset_signals();
        fsrv_own_adopt_environment();
        birth.config = &config.head;
        birth.host = host;
        if (freeze(boot, &config, host, &birth) < 0 ||
            tell(boot, FSRV_WIRE_PRELOADED, 0, fsrv_fork_is_twice(), NULL) < 0 ||
            receive_sockets(boot, &birth, &orders) < 0)
                return 1;
        fsrv_fd_close(boot);
        if (obey(orders, &birth) != 1)
                return 1;
        fsrv_fd_close(orders);
        fsrv_standby(&birth);
}

int fsrv_zygote_main(int argc, char **argv) {
        sigset_t none;

        (void)argc;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL); /* who checks modules starts us with all signals blocked */
        fsrv_title_init(argv);
        if (fsrv_fd_set_cloexec(FSRV_ZYGOTE_BOOT_FD, 1) < 0) {
                dprintf(STDERR_FILENO, "forkserver-zygote: started by forkserver-server, not by hand\n");
                return 125;
        }
        return fsrv_zygote_run(FSRV_ZYGOTE_BOOT_FD, &fsrv_module_host);
}
