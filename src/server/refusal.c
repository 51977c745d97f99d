/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "forkserver.h"
#include "server/supervisor.h"

enum {
        BACK_OFF_MS = 100,
        BACK_OFF_MAX_MS = 5000,
};

/* When no standby can be had, the server takes the requests itself, and says why. */

void fsrv__refuse(struct fsrv__supervisor *s, unsigned times, uint32_t stage, int err, const char *text) {
        int64_t wait = (int64_t)BACK_OFF_MS << (times < 6 ? times : 6);

        s->refusal.message = (struct fsrv__wire_failed){ .type = FSRV_WIRE_FAILED, .stage = stage, .err = err };
        snprintf(s->refusal.message.text, sizeof s->refusal.message.text, "%s", text);
        s->refusal.until = fsrv__now() + (wait < BACK_OFF_MAX_MS ? wait : BACK_OFF_MAX_MS);
        fsrv__log(s, "%s", s->refusal.message.text);
}

void fsrv__refusal_on_end(struct fsrv__supervisor *s) {
        if (s->refusal.message.stage == FSRV_STAGE_FORK && s->refusal.message.err == EAGAIN)
                s->refusal.until = 0;
}

static const struct fsrv__wire_failed *at_limit(struct fsrv__supervisor *s) {
        static struct fsrv__wire_failed full = { .type = FSRV_WIRE_FAILED, .stage = FSRV_STAGE_LIMIT, .err = EAGAIN };

        if (s->zygote.due > 0 || fsrv__child_fits(s))
                return NULL;
        snprintf(full.text, sizeof full.text,
                 "the fork server has %u processes, all that fit below its limit of open files (RLIMIT_NOFILE)",
                 HASH_COUNT(s->children));
        return &full;
}

const struct fsrv__wire_failed *fsrv__refusal_now(struct fsrv__supervisor *s) {
        if (s->idle > 0 || s->draining)
                return NULL;
        if (s->refusal.until > fsrv__now())
                return &s->refusal.message;
        return at_limit(s);
}

void fsrv__refusal_watch(struct fsrv__supervisor *s) {
        bool wanted =
                !s->draining && s->idle == 0 && (s->zygote.state == FSRV_ZYGOTE_FAILED || fsrv__refusal_now(s) != NULL);

        if (wanted == s->doorbell_watched)
                return;
        struct epoll_event event = { .events = wanted ? EPOLLIN : 0, .data.u64 = (uint64_t)FSRV_SOURCE_DOORBELL << 32 };
        epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->doorbell, &event);
        s->doorbell_watched = wanted;
}

/* There is a request, and nobody to take it. */
void fsrv__refusal_on_request(struct fsrv__supervisor *s) {
        static char buffer[FSRV_WIRE_MESSAGE_MAX];
        struct fsrv__message message;

        for (;;) {
                const struct fsrv__wire_failed *failed = fsrv__refusal_now(s);
                if (!failed)
                        break;
                int r = fsrv__channel_receive(s->doorbell, buffer, sizeof buffer, MSG_DONTWAIT, &message);
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
        /* The back-off is over: this request gets a new zygote. */
        if (s->zygote.state == FSRV_ZYGOTE_FAILED)
                s->zygote.state = FSRV_ZYGOTE_NONE;
}
