/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/call.h"
#include "base/clock.h"
#include "base/fd.h"
#include "server/supervisor.h"

void fsrv__drain(struct fsrv__supervisor *s) {
        if (s->draining)
                return;
        fsrv__children_on_claims(s);
        s->draining = true;
        /* What is queued is still received; then standbys read end-of-file, and clients get EPIPE. To kill idle
         * standbys instead could hit one that has just begun to work. */
        shutdown(s->doorbell, SHUT_RDWR);
        fsrv__unwatch(s, s->doorbell);
        fsrv__zygote_end(s);
        fsrv__unlisten(s);
        fsrv__children_watch_clients(s);
        fsrv__log(s, "draining: %u workers", HASH_COUNT(s->children) - s->idle);
}

static void on_sigchld(struct fsrv__supervisor *s) {
        fsrv__stops_tell(s);
        if (s->is_reaper || getpid() == 1)
                fsrv__children_reap_all(s);
}

static void on_signal(struct fsrv__supervisor *s) {
        struct signalfd_siginfo info;

        while (read(s->signals, &info, sizeof info) == sizeof info) {
                if (info.ssi_signo == SIGCHLD)
                        on_sigchld(s);
                else if (!s->draining)
                        fsrv__drain(s);
                else
                        fsrv__children_kill(s);
        }
}

static void on_doorbell(struct fsrv__supervisor *s, uint32_t events) {
        if (events & (EPOLLHUP | EPOLLERR))
                fsrv__drain(s); /* the last client has gone */
        else
                fsrv__refusal_on_request(s);
}

static void on_event(struct fsrv__supervisor *s, const struct epoll_event *event) {
        uint32_t id = (uint32_t)event->data.u64;

        switch ((enum fsrv__source)(event->data.u64 >> 32)) {
        case FSRV_SOURCE_CLAIMS:
                fsrv__children_on_claims(s);
                break;
        case FSRV_SOURCE_DOORBELL:
                on_doorbell(s, event->events);
                break;
        case FSRV_SOURCE_ORDERS:
                fsrv__zygote_on_orders(s, id);
                break;
        case FSRV_SOURCE_ZYGOTE:
                fsrv__zygote_on_exit(s, id);
                break;
        case FSRV_SOURCE_CHILD:
                fsrv__child_on_exit(s, id);
                break;
        case FSRV_SOURCE_ANSWER:
                fsrv__child_on_hangup(s, id);
                break;
        case FSRV_SOURCE_LISTENER:
                fsrv__peers_on_listener(s);
                break;
        case FSRV_SOURCE_PEER:
                fsrv__peer_on_message(s, id);
                break;
        case FSRV_SOURCE_SIGNAL:
                on_signal(s);
                break;
        }
}

static void earlier(int64_t *deadline, int64_t other) {
        if (other < *deadline)
                *deadline = other;
}

static int64_t next_deadline(const struct fsrv__supervisor *s) {
        int64_t deadline = FSRV_NEVER;

        if (fsrv__zygote_has_deadline(s))
                earlier(&deadline, s->zygote.deadline);
        if (s->refusal.until > 0)
                earlier(&deadline, s->refusal.until);
        if (s->next_look > 0)
                earlier(&deadline, s->next_look);
        if (s->first_deadline)
                earlier(&deadline, s->first_deadline->deadline);
        for (const struct fsrv__peer *peer = s->peers; peer; peer = peer->next)
                earlier(&deadline, peer->deadline);
        if (s->owed)
                earlier(&deadline, fsrv__now() + 10);
        return deadline;
}

static void on_time(struct fsrv__supervisor *s) {
        int64_t now = fsrv__now();

        if (s->refusal.until > 0 && s->refusal.until <= now)
                s->refusal.until = 0;
        fsrv__zygote_on_time(s, now);
        fsrv__children_on_time(s, now);
        fsrv__standbys_on_time(s, now);
        fsrv__peers_on_time(s, now);
}

/* A private server stays for the clients that wait for a status and for the time limits that it has to keep; a named
 * one, whose supervisor may end what it leaves behind, for all its workers. */
static bool is_over(const struct fsrv__supervisor *s) {
        if (!s->draining || s->zygote.pid != 0 || s->owed)
                return false;
        return s->config.path ? HASH_COUNT(s->children) + s->ended == 0
                              : s->answers == 0 && s->idle == 0 && !s->first_deadline;
}

/* A request in the queue carries the doorbell's sending end, so there is no hang-up while a zygote loads and its client
 * has died. But then the client's admin connection has closed, and who else could spawn would be a child. */
static bool is_abandoned(struct fsrv__supervisor *s) {
        return !s->config.path && !s->peers && s->zygote.state == FSRV_ZYGOTE_LOADING &&
               HASH_COUNT(s->children) == (fsrv__zygote_heir(s) != NULL);
}

int fsrv__supervise(struct fsrv__supervisor *s) {
        while (!is_over(s)) {
                struct epoll_event events[64];

                if (is_abandoned(s))
                        fsrv__drain(s);
                fsrv__zygote_replenish(s);
                fsrv__refusal_watch(s);
                /* libfaketime's epoll_wait(2) would have the limits pass by its own time */
                int n = (int)fsrv__call(SYS_epoll_pwait, s->epoll, events, 64, fsrv__left(next_deadline(s)), NULL, 0);
                if (n < 0 && n != -EINTR)
                        return 125;
                for (int i = 0; i < n; i++)
                        on_event(s, &events[i]);
                on_time(s);
        }
        fsrv__log(s, "done");
        return 0;
}
