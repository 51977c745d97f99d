/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/title.h"
#include "client/handle.h"
#include "client/start.h"
#include "wire/channel.h"
#include "wire/loaded.h"

/* fsrv_check_preload() plays the server for one zygote, which serves no request. */

struct checking {
        const struct fsrv_server *options; /* for its checked copy of them */
        void (*report)(const struct fsrv_module_report *report, void *data);
        void (*report_mapping)(const struct fsrv_mapping_report *report, void *data);
        void *data;
        struct fsrv_error *error;
        int boot; /* our end */
        pid_t zygote;
        char loading[FSRV_WIRE_TEXT_MAX];
        bool is_freezing;
        int failed; /* modules */
};

/* ---- the verdict ---- */

static void append_text(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void append_text(char *text, size_t size, const char *format, ...) {
        size_t n = strlen(text);
        va_list args;

        va_start(args, format);
        vsnprintf(text + n, size - n, format, args);
        va_end(args);
        for (char *c = text + n; *c; c++)
                if (*c == '\n')
                        *c = ' ';
}

/* All workers share pipes and files too, but these are mostly harmless: a log, a table that is mapped. */
static bool is_risky(const char *kind) {
        return strcmp(kind, "file") != 0 && strcmp(kind, "pipe") != 0;
}

static void describe_threads(const struct fsrv__loaded *loaded, char *text, size_t size) {
        uint32_t n = loaded->head.n_threads;

        append_text(text, size, "leaves %u thread%s running (", n, n == 1 ? "" : "s");
        for (uint32_t i = 0; i < n && i < 8; i++)
                append_text(text, size, i ? ", %s" : "%s", loaded->threads[i]);
        append_text(text, size, n > 8 ? ", …), which no child has" : "), which no child has");
}

static void write_verdict(const struct fsrv__loaded *loaded, char *text, size_t size) {
        const char *before = loaded->head.n_threads ? "; leaves open " : "leaves open ";

        snprintf(text, size, "risky: ");
        if (loaded->head.n_threads > 0)
                describe_threads(loaded, text, size);
        for (uint32_t i = 0; i < loaded->head.n_fds; i++) {
                const struct fsrv__loaded_fd *fd = &loaded->fds[i];

                if (!is_risky(fd->kind))
                        continue;
                append_text(text, size, "%s%s at fd %s", before, fd->kind, fd->number);
                before = ", ";
        }
        bool shares = strcmp(before, ", ") == 0;
        if (shares)
                append_text(text, size, ", which all children would share");
        if (loaded->head.err) {
                text[0] = 0;
                append_text(text, size, "fails: %.480s", loaded->failure);
        } else if (!shares && !loaded->head.n_threads) {
                snprintf(text, size, "no risk found");
        }
}

static int report_module(struct checking *c, const struct fsrv__loaded *loaded) {
        char verdict[512];
        struct fsrv_module_fd *fds = calloc(loaded->head.n_fds + 1, sizeof *fds);

        if (!fds)
                return fsrv__fail(c->error, FSRV_STAGE_START, ENOMEM, "a report");
        for (uint32_t i = 0; i < loaded->head.n_fds; i++)
                fds[i] = (struct fsrv_module_fd){ .fd = atoi(loaded->fds[i].number),
                                                  .kind = loaded->fds[i].kind,
                                                  .what = loaded->fds[i].what };
        write_verdict(loaded, verdict, sizeof verdict);
        struct fsrv_module_report module = {
                .size = sizeof module,
                .module = c->loading,
                .verdict = verdict,
                .err = loaded->head.err,
                .load_us = loaded->head.load_us,
                .private_dirty_kib = loaded->head.private_dirty_kib,
                .fork_pages = loaded->head.fork_pages,
                .threads = (const char *const *)loaded->threads,
                .n_threads = loaded->head.n_threads,
                .fds = fds,
                .n_fds = loaded->head.n_fds,
        };
        c->failed += module.err != 0;
        c->report(&module, c->data);
        c->loading[0] = 0;
        free(fds);
        return 0;
}

static int report_mapping(struct checking *c, const char *bytes, size_t size) {
        struct fsrv__wire_mapping told;

        if (size != sizeof told || !c->report_mapping)
                return fsrv__fail(c->error, FSRV_STAGE_START, EPROTO, "the zygote's report of its memory");
        memcpy(&told, bytes, sizeof told);
        told.what[sizeof told.what - 1] = told.why[sizeof told.why - 1] = 0;
        struct fsrv_mapping_report mapping = { .size = sizeof mapping,
                                               .start = told.start,
                                               .end = told.end,
                                               .what = told.what,
                                               .frozen = told.frozen,
                                               .collapsed = told.collapsed,
                                               .left = told.left,
                                               .why = told.why };
        c->report_mapping(&mapping, c->data);
        return 0;
}

/* Reports a module that took the zygote with it. */
static int report_death(struct checking *c, int err, const char *how) {
        struct fsrv__loaded loaded = { .head.err = err, .failure = (char *)how };

        return report_module(c, &loaded);
}

/* ---- the zygote ---- */

/* The zygote has to go in any state: a module may hang in it. */
static void end_zygote(struct checking *c) {
        if (c->zygote <= 0)
                return;
        kill(c->zygote, SIGKILL); /* our own child, not reaped yet */
        while (waitpid(c->zygote, NULL, __WALL) < 0 && errno == EINTR)
                ;
}

/* The zygote's socket has closed: it has ended or is about to. */
static int on_end(struct checking *c) {
        const char *doing = c->is_freezing ? "froze its memory" : "started";
        char how[128];
        int status, r;

        if (c->loading[0])
                doing = "loaded it";
        while ((r = waitpid(c->zygote, &status, __WALL)) < 0 && errno == EINTR)
                ;
        c->zygote = 0;
        if (r < 0) /* the caller ignores SIGCHLD, or has reaped it */
                snprintf(how, sizeof how, "the process ended while it %s", doing);
        else if (WIFSIGNALED(status))
                snprintf(how, sizeof how, "the process was killed by SIG%s while it %s", sigabbrev_np(WTERMSIG(status)),
                         doing);
        else
                snprintf(how, sizeof how, "the process exited with %d while it %s", WEXITSTATUS(status), doing);
        if (c->loading[0])
                return report_death(c, EIO, how);
        return fsrv__fail_text(c->error, FSRV_STAGE_START, EIO, "the zygote: %s", how);
}

static int on_message(struct checking *c, char *bytes, size_t size) {
        struct fsrv__wire_order order = { 0 };
        struct fsrv__loaded loaded;

        memcpy(&order, bytes, size < sizeof order ? size : sizeof order);
        order.text[sizeof order.text - 1] = 0;
        switch (order.type) {
        case FSRV_WIRE_LOADING:
                memcpy(c->loading, order.text, sizeof c->loading);
                return 0;
        case FSRV_WIRE_LOADED: {
                int r = fsrv__loaded_decode(bytes, size, &loaded);
                if (r < 0)
                        return fsrv__fail(c->error, FSRV_STAGE_START, -r, "the zygote's report");
                r = report_module(c, &loaded);
                fsrv__loaded_done(&loaded);
                return r;
        }
        case FSRV_WIRE_FREEZING:
                c->is_freezing = true;
                c->loading[0] = 0; /* all are there, and reported */
                return 0;
        case FSRV_WIRE_MAPPING:
                return report_mapping(c, bytes, size);
        case FSRV_WIRE_MEMORY:
                return 0;
        case FSRV_WIRE_PRELOADED:
                return 1;
        default:
                return fsrv__fail_text(c->error, FSRV_STAGE_START, order.err > 0 ? order.err : EPROTO, "the zygote: %s",
                                       order.text);
        }
}

/* Until the zygote has loaded everything, or something ended it. */
static int listen_to(struct checking *c) {
        int64_t deadline = fsrv__deadline(c->options->config.head.preload_timeout_ms);
        char *bytes = malloc(FSRV_WIRE_MESSAGE_MAX);
        int r = 0;

        if (!bytes)
                return fsrv__fail(c->error, FSRV_STAGE_START, ENOMEM, "a message");
        while (r == 0) {
                struct fsrv__message message;
                int got = fsrv__channel_receive_by(c->boot, bytes, FSRV_WIRE_MESSAGE_MAX, deadline, &message);

                if (got == 1) {
                        fsrv__message_close(&message);
                        r = on_message(c, bytes, message.size);
                } else if (got == -ETIMEDOUT && c->loading[0]) {
                        char how[64];
                        snprintf(how, sizeof how, "did not finish loading within %u ms",
                                 c->options->config.head.preload_timeout_ms);
                        r = report_death(c, ETIMEDOUT, how) < 0 ? -ENOMEM : 1;
                } else if (got == 0) {
                        r = on_end(c);
                        r = r < 0 ? r : 1;
                } else {
                        r = fsrv__fail(c->error, FSRV_STAGE_START, -got, "the zygote's reports");
                }
        }
        free(bytes);
        return r < 0 ? r : 0;
}

static int send_config(const struct checking *c, int sock) {
        char *bytes = malloc(FSRV_WIRE_MESSAGE_MAX);
        struct fsrv__config config = c->options->config;

        config.head.server = getpid();
        config.head.policy = FSRV_PRELOAD_IGNORE; /* the reports name what fails; the rest is loaded all the same */
        config.head.thread_policy = FSRV_PRELOAD_IGNORE; /* likewise */
        config.head.measure = c->report_mapping ? FSRV_WIRE_MEASURE_MAPPINGS : FSRV_WIRE_MEASURE_MEMORY;
        int n = bytes ? fsrv__config_encode(&config, bytes) : -ENOMEM;
        if (n > 0)
                n = fsrv__channel_send(sock, bytes, (size_t)n, NULL, 0, MSG_DONTWAIT);
        free(bytes);
        return n < 0 ? n : 0;
}

static int start_zygote(struct checking *c) {
        char title[FSRV_TITLE_SIZE], *argv[] = { title, NULL };
        int ends[2], r = fsrv__socketpair(ends);

        if (r < 0)
                return fsrv__fail(c->error, FSRV_STAGE_START, -r, "a socket pair");
        char *program = fsrv__helper_path(c->options->helper_directory, "forkserver-zygote");
        c->boot = ends[0];
        r = program ? send_config(c, ends[0]) : -ENOMEM;
        fsrv__title_argument(title, "forkserver: zygote");
        if (r < 0)
                fsrv__fail(c->error, FSRV_STAGE_START, -r, "the zygote's configuration");
        else if ((r = c->zygote = fsrv__start_child(program, argv, &ends[1], 1)) < 0)
                fsrv__fail(c->error, FSRV_STAGE_START, -r, "starting the zygote program '%s'", program);
        free(program);
        fsrv__fd_close(ends[1]);
        return r < 0 ? r : 0;
}

int fsrv_check_preload(const struct fsrv_server_options *options,
                       void (*report_one)(const struct fsrv_module_report *report, void *data),
                       void (*report_a_mapping)(const struct fsrv_mapping_report *report, void *data), void *data,
                       struct fsrv_error *error) {
        struct checking c = {
                .report = report_one, .report_mapping = report_a_mapping, .data = data, .error = error, .boot = -1
        };
        struct fsrv_server *s;

        int r = fsrv_server_new(options, &s, error);
        if (r < 0)
                return r;
        c.options = s;
        if (fsrv__config_has_program(&s->config) || s->config.argv)
                r = fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "only modules can be checked, not '%s'",
                                    FSRV_PRELOAD_MAIN);
        else
                r = start_zygote(&c);
        if (r == 0)
                r = listen_to(&c);
        end_zygote(&c);
        fsrv__fd_close(c.boot);
        fsrv_server_free(s);
        return r < 0 ? r : c.failed;
}
