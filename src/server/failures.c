/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "forkserver.h"
#include "server/server.h"

int64_t fsrv__fork_limit(const struct fsrv__server *s) {
        return s->config.head.preload_timeout_ms;
}

enum { HOW_MAX = 64 };

static void name_end(const struct fsrv__exit *how, char ret_text[HOW_MAX]) {
        if (how->code == CLD_EXITED)
                snprintf(ret_text, HOW_MAX, "exited with %d", how->status);
        else
                snprintf(ret_text, HOW_MAX, "was killed by SIG%s", sigabbrev_np(how->status));
}

static void write_death(const struct fsrv__zygote *z, const struct fsrv__exit *how, char *ret_text, size_t size) {
        char end[HOW_MAX];

        name_end(how, end);
        if (z->state == FSRV_ZYGOTE_FREEZING)
                snprintf(ret_text, size, "the zygote %s while it froze its memory", end);
        else if (z->loading[0])
                snprintf(ret_text, size, "the zygote %s while it loaded module '%.120s'", end, z->loading);
        else
                snprintf(ret_text, size, "the zygote %s before it was ready", end);
}

static void write_standby_death(const struct fsrv__exit *how, char *ret_text, size_t size) {
        bool is_kill = how->code == CLD_KILLED && how->status == SIGKILL;
        char end[HOW_MAX];

        name_end(how, end);
        snprintf(ret_text, size, "a new process %s before it took a request: %s?", end,
                 is_kill ? "is there too little memory" : "does a fork handler of a preloaded module fail");
}

static void write_hang(const struct fsrv__server *s, const char *what, char *ret_text, size_t size) {
        snprintf(ret_text, size, "%s within %lld ms: does a fork handler of a preloaded module hang?", what,
                 (long long)fsrv__fork_limit(s));
}

static void write_late_loading(const struct fsrv__server *s, const struct fsrv__zygote *z, char *ret_text,
                               size_t size) {
        snprintf(ret_text, size, "module '%.120s' did not finish loading within %u ms%s", z->loading,
                 s->config.head.preload_timeout_ms,
                 z->state == FSRV_ZYGOTE_FREEZING ? " (it was loaded, but its memory was not frozen)" : "");
}

static void write_sentence(const struct fsrv__server *s, const struct fsrv__zygote *z,
                           const struct fsrv__failure_of *failure, char *ret_text, size_t size) {
        switch (failure->kind) {
        case FSRV_FAILURE_START:
                snprintf(ret_text, size, "starting the zygote: %s: %s", failure->what, strerrordesc_np(failure->err));
                break;
        case FSRV_FAILURE_DEATH:
                write_death(z, failure->how, ret_text, size);
                break;
        case FSRV_FAILURE_LATE:
                write_late_loading(s, z, ret_text, size);
                break;
        case FSRV_FAILURE_FORK:
                snprintf(ret_text, size, "the zygote cannot fork: %s", strerrordesc_np(failure->err));
                break;
        case FSRV_FAILURE_FORK_HANGS:
                write_hang(s, "the zygote did not fork", ret_text, size);
                break;
        case FSRV_FAILURE_BIRTH:
                snprintf(ret_text, size,
                         "the zygote for a sandbox ended as it was forked: does a fork handler of a preloaded module "
                         "fail?");
                break;
        case FSRV_FAILURE_MIDDLE_HANGS:
                write_hang(s, "the process between zygote and standby did not fork", ret_text, size);
                break;
        case FSRV_FAILURE_STANDBY:
                write_standby_death(failure->how, ret_text, size);
                break;
        case FSRV_FAILURE_STANDBY_HANGS:
                write_hang(s, "a new process was not ready", ret_text, size);
                break;
        }
}

static uint32_t stage_of(const struct fsrv__zygote *z, enum fsrv__failure kind) {
        if (kind == FSRV_FAILURE_START)
                return FSRV_STAGE_START;
        if (kind == FSRV_FAILURE_DEATH || kind == FSRV_FAILURE_LATE)
                return z->loading[0] ? FSRV_STAGE_PRELOAD : FSRV_STAGE_START;
        return FSRV_STAGE_FORK;
}

static int errno_of(const struct fsrv__failure_of *failure) {
        switch (failure->kind) {
        case FSRV_FAILURE_START:
        case FSRV_FAILURE_FORK:
                return failure->err;
        case FSRV_FAILURE_BIRTH:
        case FSRV_FAILURE_DEATH:
        case FSRV_FAILURE_STANDBY:
                return EIO;
        default:
                return ETIMEDOUT;
        }
}

struct fsrv__wire_failed fsrv__failure_describe(const struct fsrv__server *s, const struct fsrv__zygote *z,
                                                struct fsrv__failure_of failure) {
        struct fsrv__wire_failed failed = { .type = FSRV_WIRE_FAILED,
                                            .stage = stage_of(z, failure.kind),
                                            .err = errno_of(&failure) };

        write_sentence(s, z, &failure, failed.text, sizeof failed.text);
        return failed;
}
