/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "forkserver.h"
#include "server/server.h"

unsigned fsrv__reload_ask(struct fsrv__server *s) {
        s->wants_reload = true;
        return s->reload + 1;
}

static int dup_fd(int fd) {
        if (fd < 0)
                return -1;
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        return copy < 0 ? -errno : copy;
}

static struct fsrv__zygote *last_zygote(const struct fsrv__server *s) {
        struct fsrv__zygote *z = s->zygotes;

        while (z->next)
                z = z->next;
        return z;
}

/* With the same doorbell: its standbys take the same requests. */
static int add_next(struct fsrv__server *s) {
        const struct fsrv__zygote *first = s->zygotes;
        int doorbell = dup_fd(first->doorbell), doorbell_send = dup_fd(first->doorbell_send);

        if (doorbell < 0 || doorbell_send < -1) {
                fsrv__fds_close((int[]){ doorbell, doorbell_send }, 2);
                return doorbell < 0 ? doorbell : doorbell_send;
        }
        int r = fsrv__zygote_add(s, doorbell, doorbell_send, -1);
        if (r == 0)
                s->next = last_zygote(s);
        return r;
}

static void note_failure(struct fsrv__server *s, const struct fsrv__wire_failed *failure) {
        s->reload_failure = *failure;
        s->stats.failed_reloads++;
        fsrv__log(s, FSRV_ERROR, "the reload failed, and what was loaded before stays: %s", failure->text);
        fsrv__supervisor_say(s, "READY=1\n", "A reload failed: %s", failure->text);
}

static void begin(struct fsrv__server *s) {
        struct fsrv__wire_failed failure = { .stage = FSRV_STAGE_START };
        char fields[64];

        s->wants_reload = false;
        s->reload++;
        s->reload_failure.stage = 0;
        fsrv__log(s, FSRV_INFO, "reload: a new zygote loads the modules");
        snprintf(fields, sizeof fields, "RELOADING=1\nMONOTONIC_USEC=%llu\n", (unsigned long long)fsrv__now_us());
        fsrv__supervisor_say(s, fields, "Reloading");
        int r = add_next(s);
        if (r == 0)
                return;
        failure.err = -r;
        snprintf(failure.text, sizeof failure.text, "a zygote for it: %s", strerrordesc_np(-r));
        note_failure(s, &failure);
}

/* Standbys of before may still take a request. */
static bool has_old_standbys(const struct fsrv__server *s) {
        for (const struct fsrv__zygote *z = s->zygotes; z; z = z->next)
                if (z->is_old && z->idle + z->due > 0)
                        return true;
        return s->retiring > 0;
}

static bool is_over(const struct fsrv__server *s) {
        return s->reload_over != s->reload && !s->next && !has_old_standbys(s);
}

static bool can_begin(const struct fsrv__server *s) {
        return s->wants_reload && s->reload_over == s->reload && !s->draining && !s->takes_over;
}

bool fsrv__reload_is_due(const struct fsrv__server *s) {
        return is_over(s) || can_begin(s);
}

/* Those that wait are answered before the next one begins. */
void fsrv__reload_follow(struct fsrv__server *s) {
        if (is_over(s))
                s->reload_over = s->reload;
        else if (can_begin(s))
                begin(s);
}

/* Its END comes when this turn decides what becomes of it. */
static void renew_locked(struct fsrv__server *s, struct fsrv__zygote *z) {
        z->is_old = true;
        fsrv__standbys_retire(s, z);
}

void fsrv__reload_succeed(struct fsrv__server *s) {
        struct fsrv__zygote *old = s->zygotes, *new = s->next, **link = &s->zygotes;

        while (*link != new)
                link = &(*link)->next;
        *link = new->next;
        new->next = old;
        s->zygotes = new;
        s->next = NULL;
        old->is_gone = true;
        for (struct fsrv__zygote *z = old; z; z = z->next)
                renew_locked(s, z);
        s->stats.reloads++;
        fsrv__log(s, FSRV_INFO, "reload: the new zygote, pid %d, has taken over", (int)new->pid);
}

void fsrv__reload_fail(struct fsrv__server *s) {
        struct fsrv__zygote *z = s->next;

        note_failure(s, &z->failure);
        z->is_gone = true;
        s->next = NULL;
}

void fsrv__reload_give_up(struct fsrv__server *s) {
        static const struct fsrv__wire_failed failure = { .stage = FSRV_STAGE_ADMIN,
                                                          .err = ECONNREFUSED,
                                                          .text = "the fork server is ending" };

        if (s->reload_over == s->reload && !s->wants_reload)
                return;
        if (s->next || s->wants_reload)
                s->reload_failure = failure;
        s->reload += s->wants_reload;
        s->reload_over = s->reload;
        s->wants_reload = false;
        if (s->next)
                s->next->is_gone = true;
        s->next = NULL;
}

void fsrv__zygotes_retire(struct fsrv__server *s) {
        for (struct fsrv__zygote *z = s->zygotes; z; z = z->next)
                renew_locked(s, z);
}

void fsrv__zygotes_let_go(struct fsrv__server *s) {
        for (struct fsrv__zygote *z = s->zygotes; z; z = z->next) {
                fsrv__unwatch(s, z->doorbell);
                z->doorbell = fsrv__fd_close(z->doorbell);
                z->doorbell_send = fsrv__fd_close(z->doorbell_send);
        }
}
