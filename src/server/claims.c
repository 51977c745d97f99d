/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/probe.h"
#include "forkserver.h"
#include "server/server.h"
#include "wire/messages.h"

enum { LOCKED_MAX = 64 }; /* zygotes in sandboxes; each has some eight fds here */

/* What standbys say. Each message bears the pid of its sender, stamped by the kernel. */

static void on_claim(struct fsrv__server *s, struct fsrv__zygote *z, pid_t pid, const struct fsrv__wire_claim *claim,
                     int slots[FSRV_SLOTS]) {
        struct fsrv__child *child = fsrv__child_find(s, pid);

        FSRV_PROBE(claim, pid, s->stats.claims);
        s->stats.claims++;
        s->stats.spawns++;
        fsrv__standbys_on_claim(z);
        if (!child) /* faster than its FORKED */
                child = fsrv__child_add(s, z, pid, FSRV_ROLE_STRAY);
        if (!child || child->role == FSRV_ROLE_WORKER) {
                fsrv__fds_close(slots, FSRV_SLOTS); /* its client asks the kernel for the status */
                return;
        }
        fsrv__child_become(s, child, FSRV_ROLE_WORKER);
        child->flags = claim->flags;
        child->client = claim->client;
        child->uid = claim->uid;
        child->claimed_us = fsrv__now_us();
        fsrv__histogram_add(&s->counts.queue, claim->queue_us);
        fsrv__answer_begin(s, child, slots[FSRV_SLOT_ANSWER], slots[FSRV_SLOT_STATUS]);
        if (claim->time_limit_ms)
                fsrv__family_limit(s, child, claim->time_limit_ms, claim->grace_ms);
        if (child->flags & FSRV_WIRE_TELL_STOPS)
                fsrv__signals_take_children(s);
        if (s->killing)
                fsrv__child_kill(child);
}

/* It ends by itself. The process that has its memory is ours as well, and may have died before it claimed. */
static void on_retired(struct fsrv__server *s, struct fsrv__zygote *z, pid_t pid, pid_t borrower) {
        struct fsrv__child *child = fsrv__child_find(s, pid);

        if (!child)
                fsrv__child_add(s, z, pid, FSRV_ROLE_RETIRED); /* faster than its FORKED */
        else if (child->role == FSRV_ROLE_STANDBY || child->role == FSRV_ROLE_STRAY)
                fsrv__child_become(s, child, FSRV_ROLE_RETIRED);
        if (borrower > 0 && !fsrv__child_find(s, borrower))
                fsrv__child_add(s, z, borrower, FSRV_ROLE_STRAY);
}

static bool is_doorbell(int fd) {
        int domain, type;
        socklen_t n = sizeof domain, m = sizeof type;

        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && domain == AF_UNIX &&
               getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &m) == 0 && type == SOCK_SEQPACKET;
}

static int add_locked_zygote(struct fsrv__server *s, int *doorbell, int *sandbox) {
        unsigned n = 0;

        for (const struct fsrv__zygote *z = s->zygotes->next; z; z = z->next)
                n++;
        if (n >= LOCKED_MAX)
                return -EAGAIN;
        if (!is_doorbell(*doorbell))
                return -EPROTO;
        return fsrv__zygote_add(s, fsrv__fd_steal(doorbell), -1, fsrv__fd_steal(sandbox));
}

/* The client hears of a failure alone; the rest it hears on the new doorbell. */
static void on_wants_zygote(struct fsrv__server *s, int slots[FSRV_SLOTS]) {
        struct fsrv__wire_failed failed = { .type = FSRV_WIRE_FAILED, .stage = FSRV_STAGE_SANDBOX };
        int r = s->draining ? -ECONNREFUSED : add_locked_zygote(s, &slots[FSRV_SLOT_DOORBELL], &slots[FSRV_SLOT_BODY]);

        if (r < 0) {
                failed.err = -r;
                if (r == -EAGAIN)
                        snprintf(failed.text, sizeof failed.text,
                                 "the fork server has %d sandboxes in use, and takes no more at a time", LOCKED_MAX);
                else
                        snprintf(failed.text, sizeof failed.text, "a zygote for the sandbox: %s", strerrordesc_np(-r));
                fsrv__channel_send(slots[FSRV_SLOT_ANSWER], &failed, sizeof failed, NULL, 0, MSG_DONTWAIT);
        }
        fsrv__fds_close(slots, FSRV_SLOTS);
}

/* False: it makes no sense. */
static bool on_message(struct fsrv__server *s, struct fsrv__zygote *z, pid_t pid, const struct fsrv__wire_claim *claim,
                       int slots[FSRV_SLOTS]) {
        switch (claim->type) {
        case FSRV_WIRE_CLAIM:
                on_claim(s, z, pid, claim, slots);
                return true;
        case FSRV_WIRE_WANTS_ZYGOTE:
                on_wants_zygote(s, slots);
                return true;
        case FSRV_WIRE_RETIRED:
                on_retired(s, z, pid, claim->borrower);
                return true;
        default: /* SETUP_FAILED */
                if (claim->stage >= FSRV_STAGE_COUNT)
                        return false;
                s->stats.failures[claim->stage]++;
                return true;
        }
}

void fsrv__claims_receive(struct fsrv__server *s, struct fsrv__zygote *z) {
        struct fsrv__wire_claim claim;
        struct fsrv__message message;
        int slots[FSRV_SLOTS];

        for (;;) {
                int r = fsrv__channel_receive(z->claims[0], &claim, sizeof claim, MSG_DONTWAIT, &message);
                if (r == -EMFILE)
                        fsrv__message_close(&message);
                else if (r != 1)
                        return;
                else if (fsrv__message_unpack(FSRV_TABLE_CLAIMS, &claim, &message, slots) < 0 ||
                         !on_message(s, z, message.sender.pid, &claim, slots))
                        s->stats.malformed++;
        }
}
