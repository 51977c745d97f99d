/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/resource.h>

#include "base/call.h"
#include "base/error.h"
#include "worker/apart.h"
#include "worker/attributes.h"

enum { NUMBER_SIZE = 24 };

static const char *number_text(uint64_t number, char text[NUMBER_SIZE]) {
        if (number == UINT64_MAX)
                return "unlimited";
        snprintf(text, NUMBER_SIZE, "%llu", (unsigned long long)number);
        return text;
}

/* The error names what was asked for. */
static int set_limit(int resource, const struct fsrv__wire_limit *limit, const struct fsrv__wire_limit *asked,
                     struct fsrv_error *error) {
        long r = fsrv__call(SYS_prlimit64, 0, resource, limit, NULL);
        char soft[NUMBER_SIZE], hard[NUMBER_SIZE];

        if (r == 0)
                return 0;
        const char *name = fsrv_limit_name(resource);
        return FSRV_ATTRIBUTE_FAILED(error, (int)-r, "RLIMIT_%s to %s:%s", name ? name : "?",
                                     number_text(asked->soft, soft), number_text(asked->hard, hard));
}

static int get_limit(int resource, struct fsrv__wire_limit *ret_limit, struct fsrv_error *error) {
        long r = fsrv__call(SYS_prlimit64, 0, resource, NULL, ret_limit);

        return r < 0 ? FSRV_ATTRIBUTE_FAILED(error, (int)-r, "the limit %d", resource) : 0;
}

static uint64_t larger(uint64_t a, uint64_t b) {
        return a > b ? a : b;
}

/* A part that stays the same is filled in. */
static struct fsrv__wire_limit wanted_limit(const struct fsrv__wire_limit *asked, const struct fsrv__wire_limit *now) {
        return (struct fsrv__wire_limit){ .soft = asked->soft == FSRV_LIMIT_SAME ? now->soft : asked->soft,
                                          .hard = asked->hard == FSRV_LIMIT_SAME ? now->hard : asked->hard };
}

int fsrv__limits_raise(const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        for (int i = 0; i < FSRV_WIRE_LIMITS; i++) {
                struct fsrv__wire_limit now;
                int r;

                if (!(a->limits >> i & 1))
                        continue;
                if ((r = get_limit(i, &now, error)) < 0)
                        return r;
                const struct fsrv__wire_limit wanted = wanted_limit(&a->limit[i], &now);
                if (wanted.soft <= now.soft && wanted.hard <= now.hard)
                        continue;
                const struct fsrv__wire_limit raised = { .soft = larger(wanted.soft, now.soft),
                                                         .hard = larger(wanted.hard, now.hard) };
                if ((r = set_limit(i, &raised, &wanted, error)) < 0)
                        return r;
        }
        return 0;
}

int fsrv__limits_set(const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        for (int i = 0; i < FSRV_WIRE_LIMITS; i++) {
                struct fsrv__wire_limit now;
                int r;

                if (!(a->limits >> i & 1) || i == RLIMIT_NOFILE)
                        continue;
                if ((r = get_limit(i, &now, error)) < 0)
                        return r;
                const struct fsrv__wire_limit wanted = wanted_limit(&a->limit[i], &now);
                if ((r = set_limit(i, &wanted, &wanted, error)) < 0)
                        return r;
        }
        return 0;
}

/* What is raised has been by now, and to lower it cannot fail. */
void fsrv__limits_end(const struct fsrv__task *task) {
        const struct fsrv__wire_attributes *a = task->request.attributes;
        const struct fsrv__lock *lock = task->standby->lock;
        struct fsrv__wire_limit now;

        if (a && a->limits >> RLIMIT_NOFILE & 1 && get_limit(RLIMIT_NOFILE, &now, NULL) == 0) {
                const struct fsrv__wire_limit wanted = wanted_limit(&a->limit[RLIMIT_NOFILE], &now);
                fsrv__call(SYS_prlimit64, 0, RLIMIT_NOFILE, &wanted, NULL);
        }
        if (lock && lock->limits >> RLIMIT_NOFILE & 1)
                fsrv__lock_lower_limit(RLIMIT_NOFILE, lock->limit[RLIMIT_NOFILE]);
}
