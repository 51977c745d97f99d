/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/zygote.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/title.h"
#include "forkserver-host.h"
#include "wire/config.h"
#include "wire/order.h"
#include "zygote/freeze.h"
#include "zygote/heir.h"
#include "zygote/hot.h"
#include "zygote/measure.h"

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

/* For a message. Not on the stack, which may be small, and not static: what workers write to in static memory is to lie
 * close together. NULL: no memory. */
static char *map_buffer(void) {
        void *bytes = mmap(NULL, FSRV_WIRE_MESSAGE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return bytes == MAP_FAILED ? NULL : bytes;
}

static int receive_config(int boot, struct fsrv__config *ret_config) {
        char *bytes = map_buffer();
        struct fsrv__message message;
        int r = bytes ? fsrv__channel_receive(boot, bytes, FSRV_WIRE_MESSAGE_MAX, 0, &message) : -ENOMEM;

        if (r == 1) {
                fsrv__message_close(&message);
                r = fsrv__config_decode(bytes, message.size, ret_config);
        } else if (r == 0)
                r = -EPROTO;
        if (bytes)
                munmap(bytes, FSRV_WIRE_MESSAGE_MAX);
        return r;
}

static int send_loaded(int boot, const char *module, int err, const char *text) {
        char *bytes = map_buffer();
        int r = -ENOMEM;

        if (bytes) {
                size_t size = fsrv__measure_end(module, err, text, bytes);
                r = fsrv__channel_send(boot, bytes, size, NULL, 0, 0);
                munmap(bytes, FSRV_WIRE_MESSAGE_MAX);
        }
        return r;
}

/* Loads one module and tells what it did. 0, 1 when nobody listens, or -errno of the loading. */
static int load(int boot, const char *module, const struct fsrv__config *config, const struct fsrv_host *host,
                struct fsrv_error *error) {
        bool measure = config->head.measure;

        /* So that the server can name the module if it crashes us or never comes back. */
        if (fsrv__order_send(boot, FSRV_WIRE_LOADING, 0, 0, module) < 0)
                return 1;
        error->text[0] = 0;
        fsrv__measure_begin(measure);
        int r = host->preload(module, error);
        if (measure && fsrv__measure_has_threads())
                fsrv__measure_fork_once(host); /* what is gone after it is no harm */
        return send_loaded(boot, module, r < 0 ? error->err : 0, r < 0 ? error->text : "") < 0 ? 1 : r;
}

static bool is_tried(const char *module, const struct fsrv_host *host) {
        return host->is_tried && host->is_tried(module);
}

/* 0, or -1 after the server was told that this zygote is of no use. */
static int preload(int boot, const struct fsrv__config *config, const struct fsrv_host *host) {
        for (char **module = config->modules; *module; module++) {
                struct fsrv_error error;

                if (is_tried(*module, host))
                        continue;
                int r = load(boot, *module, config, host, &error);

                if (r == 1)
                        return -1;
                if (r == 0 || config->head.policy == FSRV_PRELOAD_IGNORE)
                        continue;
                if (config->head.policy == FSRV_PRELOAD_FAIL) {
                        fsrv__order_send(boot, FSRV_WIRE_LOAD_FAILED, error.err, 0, error.text);
                        return -1;
                }
                fsrv__text_tame(error.text);
                dprintf(STDERR_FILENO, "forkserver: preload: %s\n", error.text);
        }
        return 0;
}

/* A child has none of the zygote's threads, and may find a lock that one of them held. */
static int check_threads(int boot, const struct fsrv__config *config, const struct fsrv_host *host) {
        char text[FSRV_WIRE_TEXT_MAX];

        if (!fsrv__measure_has_threads())
                return 0;
        fsrv__measure_fork_once(host);
        if (config->head.thread_policy == FSRV_PRELOAD_IGNORE || !fsrv__measure_has_threads())
                return 0;
        fsrv__measure_describe_threads(text, sizeof text);
        fsrv__text_tame(text);
        if (config->head.thread_policy == FSRV_PRELOAD_FAIL) {
                fsrv__order_send(boot, FSRV_WIRE_LOAD_FAILED, EBUSY, 0, text);
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

static int tell_of_mappings(int boot, const struct fsrv__list *mappings) {
        const struct fsrv__mapping *mapping = mappings->items;
        int r = 0;

        for (size_t i = 0; r == 0 && i < mappings->n; i++) {
                struct fsrv__wire_mapping told = { .type = FSRV_WIRE_MAPPING,
                                                   .start = mapping[i].start,
                                                   .end = mapping[i].end,
                                                   .frozen = mapping[i].frozen,
                                                   .collapsed = mapping[i].collapsed,
                                                   .left = mapping[i].left };
                snprintf(told.what, sizeof told.what, "%s", mapping[i].name);
                snprintf(told.why, sizeof told.why, "%s", mapping[i].why ? mapping[i].why : "");
                r = fsrv__channel_send(boot, &told, sizeof told, NULL, 0, 0);
        }
        return r;
}

/* ---- the heir ---- */

enum { HEIR_MS = 100 }; /* some milliseconds less would not be felt beside the start of a zygote */

static const struct fsrv__heir *trying;

void fsrv_zygote_leave_out(const char *why) {
        if (trying)
                fsrv__heir_give_up(trying, 0, why);
}

/* In the heir: returns only when the module is there and nothing shows. */
static void try_module(const struct fsrv__heir *heir, const struct fsrv_host *host) {
        struct fsrv_error error = { 0 };
        char text[FSRV_WIRE_TEXT_MAX];

        trying = heir;
        int r = host->preload(heir->module, &error);
        trying = NULL;
        if (r < 0)
                fsrv__heir_give_up(heir, error.err, error.text);
        if (!fsrv__measure_has_threads())
                return;
        fsrv__measure_fork_once(host); /* what is gone after it is no harm */
        if (!fsrv__measure_has_threads())
                return;
        fsrv__measure_describe_threads(text, sizeof text);
        fsrv__heir_give_up(heir, 0, text);
}

/* In the zygote. A start is not to wait for the heir much longer than it has waited for us; but where loading it must
 * not fail there is nothing to be served before. 1: the heir is the zygote now; 0; -1 after the server was told that
 * this zygote is of no use. */
static int await_heir(struct fsrv__heir *heir, int boot, int64_t started, const struct fsrv__config *config) {
        bool has_to = config->head.policy == FSRV_PRELOAD_FAIL;
        int64_t now = fsrv__now(), took = now - started, patience = took > HEIR_MS ? took : HEIR_MS;

        if (fsrv__heir_is_ready(heir, -1, has_to ? FSRV_NEVER : now + patience)) {
                fsrv__heir_hand_over(heir, NULL);
                return 1;
        }
        if (has_to && heir->failure) {
                fsrv__order_send(boot, FSRV_WIRE_LOAD_FAILED, heir->failure, 0, heir->why);
                return -1;
        }
        return 0;
}

/* Returns in the heir too, when it has loaded its module. As await_heir(). */
static int try_heir(struct fsrv__heir *heir, int boot, int64_t started, const struct fsrv__config *config,
                    const struct fsrv_host *host) {
        char **module = config->modules;

        while (*module && !is_tried(*module, host))
                module++;
        if (!*module)
                return 0;
        fsrv__order_send(boot, FSRV_WIRE_LOADING, 0, 0, *module); /* what we wait for now */
        int r = fsrv__heir_fork(heir, boot, *module, &config->head, host);
        if (r < 0) {
                fsrv__order_send(boot, FSRV_WIRE_LEFT_OUT, -r, 0, "there is no process to load the main module in");
                return 0;
        }
        if (!heir->is_me)
                return await_heir(heir, boot, started, config);
        try_module(heir, host);
        return 0;
}

/* ---- ready ---- */

/* Last of all that writes to memory. 0, or -1 when nobody listens. */
static int freeze(int boot, const struct fsrv__config *config, const struct fsrv_host *host, struct fsrv__birth *birth,
                  struct fsrv__wire_memory *ret_memory) {
        struct fsrv__freeze_report report;

        fsrv__hot_rehearse(host);
        if (boot >= 0 && fsrv__order_send(boot, FSRV_WIRE_FREEZING, 0, 0, NULL) < 0)
                return -1;
        fsrv__freeze(config->head.memory, config->head.killed, &report);
        if (report.memory.why[0] && config->head.memory != FSRV_MEMORY_AUTO)
                dprintf(STDERR_FILENO, "forkserver: memory is not %s: %s\n",
                        config->head.memory == FSRV_MEMORY_FREEZE ? "frozen" : "collapsed", report.memory.why);
        birth->core_filter = report.core_filter;
        *ret_memory = report.memory;
        int r = boot >= 0 && config->head.measure == FSRV_WIRE_MEASURE_MAPPINGS
                        ? tell_of_mappings(boot, &report.mappings)
                        : 0;
        fsrv__list_done(&report.mappings);
        return r < 0 ? -1 : 0;
}

/* Our working sockets come only now: helper processes that modules have started hold none of them. */
static int receive_sockets(int boot, const struct fsrv__wire_memory *memory, int ret_fds[3]) {
        struct fsrv__wire_order order;
        struct fsrv__message message;
        int r = fsrv__channel_send(boot, memory, sizeof *memory, NULL, 0, 0);

        if (r == 0)
                r = fsrv__order_send(boot, FSRV_WIRE_PRELOADED, 0, fsrv__fork_is_twice(), NULL);
        if (r < 0)
                return r;
        r = fsrv__order_receive(boot, FSRV_NEVER, &order, &message);
        if (r != 1)
                return r < 0 ? r : -EPIPE;
        if (order.type != FSRV_WIRE_SOCKETS || message.n_fds != 3) {
                fsrv__message_close(&message);
                return -EPROTO;
        }
        memcpy(ret_fds, message.fds, 3 * sizeof *ret_fds);
        return 0;
}

/* Doorbell, claims, orders: from the server, or from the zygote that has used them. */
static int take_sockets(struct fsrv__heir *heir, int boot, const struct fsrv__wire_memory *memory, int ret_fds[3]) {
        int r = heir->is_me ? fsrv__heir_succeed(heir, ret_fds) : 0;

        if (r == 1)
                return fsrv__channel_send(ret_fds[2], memory, sizeof *memory, NULL, 0, 0);
        if (r == 0)
                r = receive_sockets(boot, memory, ret_fds);
        return r;
}

/* 1: one standby is to be forked; 0: the server is gone, or this zygote has an heir. */
static int next_order(int orders, const struct fsrv__birth *birth, struct fsrv__heir *heir) {
        struct fsrv__wire_order order;
        struct fsrv__message message;

        if (fsrv__heir_is_ready(heir, orders, FSRV_NEVER)) {
                fsrv__heir_hand_over(heir, (int[]){ birth->doorbell, birth->claims, orders });
                return 0;
        }
        int r = fsrv__channel_receive(orders, &order, sizeof order, 0, &message);
        if (r != 1)
                return r;
        fsrv__message_close(&message);
        return order.type == FSRV_WIRE_FORK ? 1 : -EPROTO;
}

/* Until the server is gone. Returns in a child only: 1; else 0 or -errno. */
static int obey(int orders, const struct fsrv__birth *birth, struct fsrv__heir *heir) {
        const struct fsrv_host *host = birth->host;
        int r;

        while ((r = next_order(orders, birth, heir)) == 1) {
                call(host->before_fork);
                pid_t pid = fsrv__fork_sibling(orders, birth->config);
                if (pid == 0) {
                        fsrv__hot_copy(); /* before anything is written to, or it comes too late */
                        call(host->after_fork_child);
                        return 1;
                }
                call(host->after_fork_zygote);
                if (pid == FSRV_FORK_TOLD)
                        continue;
                r = pid < 0 ? fsrv__order_send(orders, FSRV_WIRE_CANNOT_FORK, -pid, 0, NULL)
                            : fsrv__order_send(orders, FSRV_WIRE_FORKED, 0, pid, NULL);
                if (r < 0)
                        break;
        }
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

/* A program's own handler, if it ran between fork()'s prepare phase and its clone, could not return. */
static int init_fork(void) {
        sigset_t all, before;

        sigfillset(&all);
        sigdelset(&all, SIGSYS);
        sigprocmask(SIG_BLOCK, &all, &before);
        int r = fsrv__fork_init();
        sigprocmask(SIG_SETMASK, &before, NULL);
        return r;
}

/* What a module left in a buffer, every worker would write. Whoever reads what the client writes doesn't wait for our
 * end. */
static void settle(const struct fsrv__config *config, const struct fsrv_host *host) {
        call(host->loaded);
        fflush(NULL);
        if (config->head.has_output)
                dup2(STDERR_FILENO, STDOUT_FILENO);
        reset_signals();
        fsrv__own_adopt_environment();
}

/* Returns 1 in a child only; else it is over. */
static int serve(int boot, const struct fsrv__config *config, const struct fsrv_host *host, struct fsrv__heir *heir,
                 struct fsrv__birth *birth) {
        struct fsrv__wire_memory memory;
        int fds[3];

        settle(config, host);
        birth->config = &config->head;
        birth->host = host;
        if (freeze(heir->is_me ? -1 : boot, config, host, birth, &memory) < 0 ||
            take_sockets(heir, boot, &memory, fds) < 0)
                return 0;
        fsrv__fd_close(boot);
        birth->doorbell = fds[0];
        birth->claims = fds[1];
        heir->server = fds[2];
        if (obey(fds[2], birth, heir) != 1)
                return 0;
        fsrv__fd_close(fds[2]);
        if (heir->sock >= 0)
                fsrv__fd_close(heir->sock);
        fsrv__fd_close(heir->pidfd);
        return 1;
}

int fsrv__zygote_run(int boot, const struct fsrv_host *host) {
        static struct fsrv__config config;
        static struct fsrv__birth birth;
        static struct fsrv__heir heir = FSRV_HEIR_NONE;
        char title[FSRV_TITLE_SIZE]; /* on a page that each child writes to, unlike that of argv */
        int64_t started = fsrv__now();
        int r;

        r = receive_config(boot, &config);
        if (r < 0) {
                fsrv__order_send(boot, FSRV_WIRE_LOAD_FAILED, -r, 0,
                                 r == -EPROTONOSUPPORT
                                         ? "server and zygote are of different versions: was forkserver upgraded?"
                                         : "the zygote's configuration did not arrive");
                return 1;
        }
        fsrv__zygote_set_limit(config.head.preload_timeout_ms);
        forget_bind_now();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != config.head.server)
                return 0; /* it died before that */
        fsrv__title_move(title);
        set_title(&config);
        r = init_fork();
        if (r < 0 || preload(boot, &config, host) < 0 || check_threads(boot, &config, host) < 0 ||
            try_heir(&heir, boot, started, &config, host) != 0 || serve(boot, &config, host, &heir, &birth) != 1)
                return !heir.has_taken_over;
        fsrv__standby(&birth);
}

int fsrv_zygote_main(int argc, char **argv) {
        sigset_t none;

        (void)argc;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL); /* who checks modules starts us with all signals blocked */
        fsrv__title_init(argv);
        if (fsrv__fd_set_cloexec(FSRV_ZYGOTE_BOOT_FD, 1) < 0) {
                dprintf(STDERR_FILENO,
                        "forkserver-zygote: forkserver-server starts this program; it is not for use by hand\n");
                return 125;
        }
        return fsrv__zygote_run(FSRV_ZYGOTE_BOOT_FD, &fsrv__module_host);
}
