/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>

#include "base/call.h"
#include "base/clock.h"
#include "server/server.h"

/* What the kernel reported in this turn. */
struct turn {
        struct epoll_event events[64];
        int n;
        int64_t now;
};

/* What it has looked at, so that all claims have to be received. */
struct looks {
        bool at_standbys, at_retiring;
};

static enum fsrv__source source_of(const struct epoll_event *event) {
        return (enum fsrv__source)(event->data.u64 >> 32);
}

static uint32_t id_of(const struct epoll_event *event) {
        return (uint32_t)event->data.u64;
}

static bool has_event(const struct turn *turn, enum fsrv__source source, uint32_t id) {
        for (int i = 0; i < turn->n; i++)
                if (source_of(&turn->events[i]) == source && id_of(&turn->events[i]) == id)
                        return true;
        return false;
}

/* ---- it waits ---- */

static int64_t earlier(int64_t one, int64_t other) {
        return one < other ? one : other;
}

static int64_t next_deadline(const struct fsrv__server *s) {
        int64_t deadline = s->owed ? fsrv__now() + 10 : FSRV_NEVER;

        for (const struct fsrv__zygote *z = s->zygotes; z; z = z->next) {
                deadline = earlier(deadline, z->deadline);
                if (z->refusal.until > 0)
                        deadline = earlier(deadline, z->refusal.until);
        }
        if (s->next_look > 0)
                deadline = earlier(deadline, s->next_look);
        if (s->next_stop_look > 0)
                deadline = earlier(deadline, s->next_stop_look);
        if (s->supervisor.watchdog_ms > 0)
                deadline = earlier(deadline, s->supervisor.next_sign);
        deadline = earlier(deadline, earlier(s->files.look, s->files.reload));
        if (fsrv__reload_is_due(s))
                deadline = 0;
        if (s->first_deadline)
                deadline = earlier(deadline, s->first_deadline->deadline);
        for (const struct fsrv__peer *peer = s->peers; peer; peer = peer->next)
                deadline = earlier(deadline, peer->deadline);
        for (const struct fsrv__scrape *scrape = s->scrapes; scrape; scrape = scrape->next)
                deadline = earlier(deadline, scrape->deadline);
        return deadline;
}

/* libfaketime's epoll_wait(2) would have the limits pass by its own time. 0 or -errno. */
static int wait_for_events(const struct fsrv__server *s, struct turn *turn) {
        turn->n = (int)fsrv__call(SYS_epoll_pwait, s->epoll, turn->events, 64, fsrv__left(next_deadline(s)), NULL, 0);
        if (turn->n < 0 && turn->n != -EINTR)
                return turn->n;
        turn->n = turn->n < 0 ? 0 : turn->n;
        turn->now = fsrv__now();
        return 0;
}

/* ---- it receives ---- */

/* No client can ring this doorbell any more. When that is so of all, the server ends. */
static void on_doorbell_hangup(struct fsrv__server *s, uint32_t id) {
        bool all = true;

        for (struct fsrv__zygote *z = s->zygotes; z; z = z->next) {
                if (z->id == id) {
                        z->is_deserted = true;
                        fsrv__unwatch(s, z->doorbell);
                }
                all = all && z->is_deserted;
        }
        if (all && s->wish == FSRV_WISH_SERVE)
                s->wish = FSRV_WISH_DRAIN;
}

static void receive_event(struct fsrv__server *s, const struct epoll_event *event) {
        struct fsrv__child *child;

        switch (source_of(event)) {
        case FSRV_SOURCE_SIGNAL:
                fsrv__signals_receive(s);
                break;
        case FSRV_SOURCE_LISTENER:
                fsrv__listener_on_peers(s);
                break;
        case FSRV_SOURCE_PEER:
                fsrv__peer_on_message(s, id_of(event));
                break;
        case FSRV_SOURCE_METRICS:
                fsrv__scrapes_on_connect(s);
                break;
        case FSRV_SOURCE_SCRAPE:
                fsrv__scrapes_on_message(s, id_of(event));
                break;
        case FSRV_SOURCE_FILES:
                fsrv__files_on_change(s);
                break;
        case FSRV_SOURCE_ANSWER:
                child = fsrv__child_find(s, (pid_t)id_of(event));
                if (child)
                        fsrv__answer_on_hangup(s, child);
                break;
        case FSRV_SOURCE_DOORBELL: /* a request is for the last phase */
                if (event->events & (EPOLLHUP | EPOLLERR))
                        on_doorbell_hangup(s, id_of(event));
                break;
        case FSRV_SOURCE_ORDERS:
        case FSRV_SOURCE_CLAIMS:
        case FSRV_SOURCE_REFUSED:
        case FSRV_SOURCE_DEATH:
                break; /* by zygote; and later */
        }
}

/* What a process sent before it died is received before it is reaped, and its claim before its filter refuses it
 * anything. What came in time is received before its sender
 * is called late. Nothing promises that epoll(7) reports both at once. */
static bool has_to_receive_all(const struct fsrv__server *s, const struct turn *turn) {
        for (int i = 0; i < turn->n; i++)
                if (source_of(&turn->events[i]) == FSRV_SOURCE_REFUSED ||
                    (source_of(&turn->events[i]) == FSRV_SOURCE_DEATH &&
                     (s->is_reaper || !fsrv__is_worker(s, (pid_t)id_of(&turn->events[i])))))
                        return true;
        for (const struct fsrv__zygote *z = s->zygotes; z; z = z->next)
                if (z->deadline <= turn->now)
                        return true;
        return false;
}

static void receive_all(struct fsrv__server *s, const struct turn *turn, bool looks) {
        for (int i = 0; i < turn->n; i++)
                receive_event(s, &turn->events[i]);
        bool all = looks || has_to_receive_all(s, turn);
        for (struct fsrv__zygote *z = s->zygotes; z; z = z->next) {
                if (all || has_event(turn, FSRV_SOURCE_ORDERS, z->id))
                        fsrv__orders_receive(s, z);
                if (all || has_event(turn, FSRV_SOURCE_CLAIMS, z->id))
                        fsrv__claims_receive(s, z);
        }
        for (int i = 0; i < turn->n; i++)
                if (source_of(&turn->events[i]) == FSRV_SOURCE_REFUSED)
                        fsrv__refused_on_event(s, id_of(&turn->events[i]), turn->events[i].events);
}

/* ---- it reaps ---- */

static void reap_dead(struct fsrv__server *s, const struct turn *turn) {
        for (int i = 0; i < turn->n; i++)
                if (source_of(&turn->events[i]) == FSRV_SOURCE_DEATH)
                        fsrv__death_of(s, (pid_t)id_of(&turn->events[i]));
        if (s->has_changes)
                fsrv__changes_take(s);
        s->has_changes = false;
}

/* ---- it decides ---- */

/* A request in the queue carries the doorbell's sending end, so there is no hang-up while a zygote loads and its client
 * has died. But then the client's admin connection has closed, and what else could spawn would be a child. */
static bool is_abandoned(const struct fsrv__server *s) {
        unsigned heirs = 0;

        if (s->config.path || s->peers)
                return false;
        for (const struct fsrv__zygote *z = s->zygotes; z; z = z->next) {
                if (!fsrv__zygote_is_starting(z))
                        return false;
                heirs += fsrv__heir_of(s, z) != NULL;
        }
        return HASH_COUNT(s->children) == heirs;
}

/* What is queued on a doorbell is still received; then standbys read end-of-file, and clients get EPIPE. To kill idle
 * standbys instead could hit one that has just begun to work. */
/* What is handed over is another server's to answer. */
static void drain_server(struct fsrv__server *s) {
        unsigned idle = 0;

        s->draining = true;
        fsrv__supervisor_say(s, "STOPPING=1\n", "Waiting for the last processes");
        fsrv__reload_give_up(s);
        for (struct fsrv__zygote *z = s->zygotes; z; z = z->next) {
                shutdown(z->doorbell, SHUT_RDWR);
                fsrv__unwatch(s, z->doorbell);
                fsrv__zygote_on(s, z, (struct fsrv__news){ .event = FSRV_EVENT_END });
                idle += z->idle;
        }
        fsrv__unlisten(s);
        fsrv__answers_watch(s);
        fsrv__log(s, FSRV_INFO, "draining: %u workers", HASH_COUNT(s->children) - idle);
}

static void follow_wish(struct fsrv__server *s) {
        if (s->wish == FSRV_WISH_SERVE && is_abandoned(s))
                s->wish = FSRV_WISH_DRAIN;
        if (s->wish >= FSRV_WISH_DRAIN && !s->draining)
                drain_server(s);
        if (s->draining)
                fsrv__scrapes_unlisten(s);
        if (s->wish == FSRV_WISH_KILL) {
                s->wish = FSRV_WISH_DRAIN; /* the next signal kills what has come since */
                s->killing = true;
                fsrv__children_kill(s);
        }
}

static void decide_zygote(struct fsrv__server *s, struct fsrv__zygote *z, const struct turn *turn) {
        if (z->deadline <= turn->now)
                fsrv__zygote_on(s, z, (struct fsrv__news){ .event = FSRV_EVENT_LATE });
        if (z->is_old || fsrv__zygote_is_unwanted(z))
                fsrv__zygote_on(s, z, (struct fsrv__news){ .event = FSRV_EVENT_END });
        if (s->draining || fsrv__zygote_is_unwanted(z) || z->refusal.until > 0)
                return;
        fsrv__zygote_on(s, z, (struct fsrv__news){ .event = FSRV_EVENT_WANTED });
        if (has_event(turn, FSRV_SOURCE_DOORBELL, z->id) && !fsrv__refusal_now(s, z))
                fsrv__zygote_on(s, z, (struct fsrv__news){ .event = FSRV_EVENT_ASKED });
}

static void decide_all(struct fsrv__server *s, const struct turn *turn, struct looks looks) {
        follow_wish(s);
        if (looks.at_standbys)
                fsrv__standbys_end_hung(s);
        if (looks.at_retiring)
                fsrv__retiring_end(s);
        fsrv__files_on_time(s, turn->now);
        fsrv__reload_follow(s);
        fsrv__supervisor_on_time(s, turn->now);
        fsrv__families_on_time(s, turn->now);
        fsrv__peers_on_time(s, turn->now);
        fsrv__scrapes_on_time(s, turn->now);
        for (struct fsrv__zygote *z = s->zygotes; z; z = z->next)
                decide_zygote(s, z, turn);
}

/* ---- what is owed goes out ---- */

static void send_owed(struct fsrv__server *s, const struct turn *turn) {
        fsrv__answers_retry(s);
        fsrv__peers_on_reload(s);
        fsrv__zygotes_sweep(s);
        for (struct fsrv__zygote *z = s->zygotes; z; z = z->next) {
                if (has_event(turn, FSRV_SOURCE_DOORBELL, z->id))
                        fsrv__refusal_send(s, z);
                if (z->state == FSRV_ZYGOTE_READY || z->state == FSRV_ZYGOTE_SLOW)
                        fsrv__standbys_order(s, z);
                fsrv__refusal_watch(s, z);
        }
}

/* The standbys are looked at before anything is received: a claim that one has sent before the look comes in after it,
 * so a standby that was seen to hang and has claimed is not ended. */
static void take_turn(struct fsrv__server *s, const struct turn *turn) {
        fsrv__refusals_on_time(s, turn->now);
        struct looks looks = { fsrv__standbys_look(s, turn->now), fsrv__retiring_look(s, turn->now) };
        receive_all(s, turn, looks.at_standbys || looks.at_retiring);
        reap_dead(s, turn);
        decide_all(s, turn, looks);
        send_owed(s, turn);
}

/* A private server stays for the clients that wait for a status, and for the time limits that it has to keep. A named
 * one stays for all its workers: systemd, say, may end what it would leave behind. */
static bool is_over(const struct fsrv__server *s) {
        unsigned idle = 0;

        if (!s->draining || s->owed)
                return false;
        for (const struct fsrv__zygote *z = s->zygotes; z; z = z->next) {
                if (z->pid != 0)
                        return false;
                idle += z->idle;
        }
        return s->config.path ? HASH_COUNT(s->children) + s->ended == 0
                              : s->answers == 0 && idle == 0 && !s->first_deadline;
}

int fsrv__serve(struct fsrv__server *s) {
        struct turn turn = { .n = 0 };

        for (take_turn(s, &turn); !is_over(s); take_turn(s, &turn))
                if (wait_for_events(s, &turn) < 0)
                        return 125;
        fsrv__log(s, FSRV_INFO, "done");
        return s->exit_code;
}
