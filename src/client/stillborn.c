/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/error.h"
#include "client/request.h"
#include "client/spawning.h"

/* Failures of a process that ended, or was given up, before it ran what it was to run. */

enum { WATCHDOG_MS = 100 }; /* the worker's own time-out and ours don't end in the same moment */

static int fail_with_pid(struct fsrv__spawning *s, int err) {
        s->error.pid = s->death.type ? s->death.pid : 0;
        return -err;
}

int fsrv__stillborn_vain(struct fsrv__spawning *s, int tries) {
        const struct fsrv__wire_exited *death = &s->death;

        if (death->type == 0)
                return fsrv__fail_text(&s->error, FSRV_STAGE_SETUP, ECONNABORTED,
                                       "the new process ended before it took the request (tried %d times)", tries);
        bool exited = death->code == CLD_EXITED;
        fsrv__fail_text(&s->error, FSRV_STAGE_SETUP, ECONNABORTED,
                        "the new process %s %s%d before it ran anything (tried %d times)",
                        exited ? "exited" : "was killed", exited ? "with " : "by signal ", death->status, tries);
        return fail_with_pid(s, ECONNABORTED);
}

/* ---- while it loads a module ---- */

/* "./a.so" of "./a.so:function": so many bytes of the name. */
static int module_length(const char *name) {
        const char *colon = strrchr(name, ':');

        return colon ? (int)(colon - name) : (int)strlen(name);
}

static int fail_slow(struct fsrv__spawning *s, const char *limit, uint64_t ms) {
        const char *name = s->prepared->request->name;
        bool whole = ms % 1000 == 0;

        fsrv__fail_text(&s->error, FSRV_STAGE_ENTRY, ETIMEDOUT,
                        "the module '%.*s' was still loading when the %s of %llu %s ended", module_length(name), name,
                        limit, (unsigned long long)(whole ? ms / 1000 : ms), whole ? "s" : "ms");
        return fail_with_pid(s, ETIMEDOUT);
}

int fsrv__stillborn_slow(struct fsrv__spawning *s) {
        return fail_slow(s, "spawn time-out", (uint64_t)s->prepared->request->spawn_timeout_ms);
}

static bool is_watchdog(struct fsrv__spawning *s) {
        return s->death.code != CLD_EXITED && s->death.status == SIGALRM && s->deadline != FSRV_NEVER &&
               fsrv__now() + WATCHDOG_MS >= s->deadline;
}

int fsrv__stillborn_loading(struct fsrv__spawning *s) {
        const struct fsrv__wire_exited *death = &s->death;
        const char *name = s->prepared->request->name, *signal;
        char how[64];

        if (death->type && death->timed_out)
                return fail_slow(s, "time limit", s->prepared->request->time_limit_ms);
        if (death->type && is_watchdog(s))
                return fsrv__stillborn_slow(s);
        if (death->type == 0)
                snprintf(how, sizeof how, "ended its process (the fork server ended as well)");
        else if (death->code == CLD_EXITED)
                snprintf(how, sizeof how, "called exit(%d)", death->status);
        else if ((signal = sigabbrev_np(death->status)))
                snprintf(how, sizeof how, "was killed by SIG%s", signal);
        else
                snprintf(how, sizeof how, "was killed by signal %d", death->status);
        fsrv__fail_text(&s->error, FSRV_STAGE_ENTRY, EIO, "the module '%.*s' %s while it was being loaded",
                        module_length(name), name, how);
        return fail_with_pid(s, EIO);
}
