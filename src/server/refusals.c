/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "forkserver.h"
#include "server/server.h"

enum {
        BACK_OFF_MS = 100,
        BACK_OFF_MAX_MS = 5000,
};

/* When no standby can be had, the server takes the requests itself, and says why. A refusal ends by its time
 * (fsrv__refusals_on_time()), by a zygote that is ready, or by a standby that takes a request. Then a zygote that is
 * absent is started at once. One that has failed is started by the next request: the doorbell is watched for that, and
 * the request is taken by a standby of the new one. */

void fsrv__refuse(struct fsrv__server *s, struct fsrv__zygote *z, unsigned times, const struct fsrv__wire_failed *why) {
        int64_t wait = (int64_t)BACK_OFF_MS << (times < 6 ? times : 6);

        z->refusal.message = *why;
        z->refusal.until = fsrv__now() + (wait < BACK_OFF_MAX_MS ? wait : BACK_OFF_MAX_MS);
        fsrv__log(s, FSRV_ERROR, "%s", z->refusal.message.text);
}

void fsrv__refusals_on_end(struct fsrv__server *s) {
        for (struct fsrv__zygote *z = s->zygotes; z; z = z->next)
                if (z->refusal.message.stage == FSRV_STAGE_FORK && z->refusal.message.err == EAGAIN)
                        z->refusal.until = 0;
}

void fsrv__refusals_on_time(struct fsrv__server *s, int64_t now) {
        for (struct fsrv__zygote *z = s->zygotes; z; z = z->next)
                if (z->refusal.until <= now)
                        z->refusal.until = 0;
}

static const struct fsrv__wire_failed *at_limit(const struct fsrv__server *s, const struct fsrv__zygote *z) {
        static struct fsrv__wire_failed full = { .type = FSRV_WIRE_FAILED, .stage = FSRV_STAGE_LIMIT, .err = EAGAIN };

        if (z->due > 0 || fsrv__child_fits(s))
                return NULL;
        snprintf(full.text, sizeof full.text,
                 "the fork server has %u processes, all that fit below its limit of open files (RLIMIT_NOFILE)",
                 HASH_COUNT(s->children));
        return &full;
}

/* The first zygote forks the others. */
const struct fsrv__wire_failed *fsrv__refusal_now(const struct fsrv__server *s, const struct fsrv__zygote *z) {
        if (z->idle > 0 || s->draining || !fsrv__zygote_serves(s, z))
                return NULL;
        if (z->refusal.until > 0)
                return &z->refusal.message;
        if (z->pid == 0 && s->zygotes->refusal.until > 0)
                return &s->zygotes->refusal.message;
        return at_limit(s, z);
}

/* Whether a request is what has to come, that the zygote is started again. */
static bool waits_for_request(const struct fsrv__server *s, const struct fsrv__zygote *z) {
        return z->state == FSRV_ZYGOTE_FAILED ||
               (z->state == FSRV_ZYGOTE_ABSENT && s->zygotes->state == FSRV_ZYGOTE_FAILED);
}

void fsrv__refusal_watch(struct fsrv__server *s, struct fsrv__zygote *z) {
        bool wanted = !s->draining && fsrv__zygote_serves(s, z) && z->idle == 0 &&
                      (waits_for_request(s, z) || fsrv__refusal_now(s, z) != NULL);

        if (wanted == z->doorbell_watched)
                return;
        fsrv__rewatch(s, z->doorbell, wanted ? EPOLLIN : 0, FSRV_SOURCE_DOORBELL, z->id);
        z->doorbell_watched = wanted;
}

void fsrv__refusal_send(struct fsrv__server *s, struct fsrv__zygote *z) {
        static char buffer[FSRV_WIRE_MESSAGE_MAX];
        const struct fsrv__wire_failed *failed;
        struct fsrv__message message;

        while ((failed = fsrv__refusal_now(s, z))) {
                int r = fsrv__channel_receive(z->doorbell, buffer, sizeof buffer, MSG_DONTWAIT, &message);
                if (r == 0 || r == -EAGAIN)
                        return;
                if (r != 1 && r != -EMFILE)
                        continue;
                if (message.n_fds > 0)
                        fsrv__channel_send(message.fds[0], failed, sizeof *failed, NULL, 0, MSG_DONTWAIT);
                fsrv__message_close(&message);
                s->stats.failures[failed->stage]++;
                s->stats.spawns++;
        }
}
