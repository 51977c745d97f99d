/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "forkserver.h"
#include "server/supervisor.h"

struct fsrv__child *fsrv__child_find(struct fsrv__supervisor *s, pid_t pid) {
        struct fsrv__child *child;

        HASH_FIND_INT(s->children, &pid, child);
        return child;
}

static void become_standby(struct fsrv__supervisor *s, struct fsrv__child *child) {
        child->role = FSRV_ROLE_STANDBY;
        s->idle++;
        fsrv__standbys_watch(s, child);
}

/* By pid, which is safe until we reap: nobody else can. A dead child has a pidfd too. But a zygote may tell so late of
 * one that it has been reaped, as it was faster with its claim; the pid may be a stranger's by then. (One that forks
 * twice tells of a child before it is ours: we read that before we reap.) */
struct fsrv__child *fsrv__child_add(struct fsrv__supervisor *s, pid_t pid, enum fsrv__role role) {
        struct fsrv__child *child = calloc(1, sizeof *child);

        if (!child)
                return NULL;
        child->pid = pid;
        child->role = role;
        child->answer = child->status = -1;
        child->deadline = FSRV_NEVER;
        child->pidfd = fsrv__pidfd_open(pid);
        if (child->pidfd < 0 || (!s->is_reaper && !fsrv__is_child(child->pidfd)) ||
            fsrv__watch(s, child->pidfd, EPOLLIN, FSRV_SOURCE_CHILD, (uint32_t)pid) < 0) {
                fsrv__fd_close(child->pidfd);
                free(child);
                return NULL;
        }
        HASH_ADD_INT(s->children, pid, child);
        if (role == FSRV_ROLE_STANDBY)
                become_standby(s, child);
        return child;
}

/* Its claim may have been faster, or a look through the children. */
void fsrv__child_on_forked(struct fsrv__supervisor *s, pid_t pid) {
        struct fsrv__child *child = fsrv__child_find(s, pid);

        if (!child)
                fsrv__child_add(s, pid, FSRV_ROLE_STANDBY);
        else if (child->role == FSRV_ROLE_STRAY)
                become_standby(s, child);
}

/* ---- answers ---- */

/* The socket that closes when nobody waits for the status any more. */
static int client_of(const struct fsrv__child *child) {
        return child->status >= 0 ? child->status : child->answer;
}

/* Each has a pidfd. Those that are still to claim may come with a socket to the client, and with one for the status; a
 * standby's claim may follow those of who borrowed its memory. */
bool fsrv__child_fits(const struct fsrv__supervisor *s) {
        unsigned alive = HASH_COUNT(s->children), due = s->zygote.due, loans = 3 * s->config.head.loans;

        return alive + s->ended + s->answers + s->statuses + s->n_owed + (2 + loans) * s->idle +
                               (3 + loans) * (due + 1) <=
                       s->room ||
               alive + due == 0;
}

static void watch_client(struct fsrv__supervisor *s, const struct fsrv__child *child) {
        fsrv__watch(s, client_of(child), 0, FSRV_SOURCE_ANSWER, (uint32_t)child->pid); /* hang-up is always reported */
}

/* The worker shares the socket's open file, so closing our fd would not end the watch. */
static void unwatch_client(struct fsrv__supervisor *s, const struct fsrv__child *child) {
        if (s->draining || child->flags & FSRV_WIRE_KILL_ON_CLOSE)
                fsrv__unwatch(s, client_of(child));
}

/* The caller's, from now on. */
static int take_answer(struct fsrv__supervisor *s, struct fsrv__child *child) {
        unwatch_client(s, child);
        s->answers--;
        s->statuses -= child->status >= 0;
        child->status = fsrv__fd_close(child->status);
        return fsrv__fd_steal(&child->answer);
}

static void hang_up(struct fsrv__supervisor *s, struct fsrv__child *child) {
        if (child->answer >= 0)
                fsrv__fd_close(take_answer(s, child));
}

/* A word of the status socket; a client that doesn't want it is no concern. A stream socket, so that nothing can block
 * us, and an empty one takes two words. */
static void send_word(const struct fsrv__child *child, int64_t word) {
        if (child->status >= 0)
                (void)!send(child->status, &word, sizeof word, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void forget(struct fsrv__supervisor *s, struct fsrv__child *child) {
        hang_up(s, child);
        fsrv__family_unlimit(s, child);
        fsrv__fd_close(child->pidfd);
        HASH_DEL(s->children, child);
        free(child);
}

/* Who gives up shuts its answer down, for nothing to start behind its back; if something has, it sends another one
 * there. 1: it has; 0: nobody listens any more; -EAGAIN: it may do so yet. */
static int take_other_answer(int *answer) {
        struct fsrv__wire_more more;
        struct fsrv__message message;
        int r = fsrv__channel_receive(*answer, &more, sizeof more, MSG_DONTWAIT, &message);

        if (r == 1 && message.n_fds == 1) {
                fsrv__fd_close(*answer);
                *answer = message.fds[0];
                return 1;
        }
        if (r == 1 || r == -EMFILE)
                fsrv__message_close(&message);
        return r == -EAGAIN ? r : 0;
}

/* True when the client has it, or cannot be told any more. */
static bool send_exited(int *answer, const struct fsrv__wire_exited *exited) {
        int r = fsrv__channel_send(*answer, exited, sizeof *exited, NULL, 0, MSG_DONTWAIT);

        if (r == -EPIPE) {
                r = take_other_answer(answer);
                if (r == 1)
                        r = fsrv__channel_send(*answer, exited, sizeof *exited, NULL, 0, MSG_DONTWAIT);
        }
        return r != -EAGAIN && r != -ENOBUFS && r != -ENOMEM;
}

/* Whatever its client does, the child can be forgotten: its pid may be another's at any time. */
static void deliver(struct fsrv__supervisor *s, struct fsrv__child *child, const struct fsrv__wire_exited *exited) {
        int answer = child->answer < 0 ? -1 : take_answer(s, child);
        struct fsrv__owed *owed = NULL;

        /* without memory the client finds end-of-file instead, and asks the kernel */
        if (answer >= 0 && !send_exited(&answer, exited))
                owed = malloc(sizeof *owed);
        if (owed) {
                *owed = (struct fsrv__owed){ .next = s->owed, .answer = answer, .exited = *exited };
                s->owed = owed;
                s->n_owed++;
        } else {
                fsrv__fd_close(answer);
        }
}

static void retry_owed(struct fsrv__supervisor *s) {
        for (struct fsrv__owed **at = &s->owed; *at;) {
                struct fsrv__owed *owed = *at;
                if (!send_exited(&owed->answer, &owed->exited)) {
                        at = &owed->next;
                        continue;
                }
                *at = owed->next;
                s->n_owed--;
                fsrv__fd_close(owed->answer);
                free(owed);
        }
}

/* ---- events ---- */

/* Who does not work in it: a standby, one that never claimed, and what the kernel says is none of ours. */
static void on_other_exit(struct fsrv__supervisor *s, struct fsrv__child *child, const struct fsrv__exit *exit) {
        bool is_standby = child->role == FSRV_ROLE_STANDBY;

        if (is_standby) {
                s->idle--;
                if (exit)
                        fsrv__zygote_on_standby_end(s, exit, child->timed_out);
        }
        forget(s, child);
        if (is_standby && !s->draining && !s->is_reaper) {
                fsrv__zygote_on_orders(s, (uint32_t)s->zygote.pid);
                fsrv__children_find(s, FSRV_ROLE_STRAY); /* who borrowed its memory may be dying with it */
        }
}

static void on_worker_exit(struct fsrv__supervisor *s, struct fsrv__child *child, const struct fsrv__exit *exit,
                           const struct rusage *rusage) {
        struct fsrv__wire_exited exited = { .type = FSRV_WIRE_EXITED,
                                            .pid = child->pid,
                                            .code = exit->code,
                                            .status = exit->status,
                                            .timed_out = child->timed_out,
                                            .rusage = *rusage };

        s->stats.exits++;
        if (exit->code != CLD_EXITED && exit->status < (int)(sizeof s->stats.signals / sizeof *s->stats.signals))
                s->stats.signals[exit->status]++;
        send_word(child, exit->code == CLD_EXITED ? exit->status : -exit->status);
        deliver(s, child, &exited);
        fsrv__refusal_on_end(s);
        if (!fsrv__family_outlives(s, child))
                forget(s, child);
}

static bool has_gone(int client) {
        struct pollfd entry = { .fd = client };

        return poll(&entry, 1, 0) == 1 && entry.revents & (POLLHUP | POLLERR);
}

/* Nothing promises which event comes first: the death, or the hang-up that is to bring death to the whole family. */
static void look_for_hangup(struct fsrv__supervisor *s, struct fsrv__child *child) {
        if (child->role == FSRV_ROLE_WORKER && child->flags & FSRV_WIRE_KILL_ON_CLOSE && child->answer >= 0 &&
            has_gone(client_of(child)))
                fsrv__child_on_hangup(s, (uint32_t)child->pid);
}

void fsrv__child_on_exit(struct fsrv__supervisor *s, uint32_t pid) {
        struct fsrv__exit exit;
        struct rusage rusage;

        /* this child's FORKED was sent before it became ours */
        if (s->is_reaper)
                fsrv__zygote_on_orders(s, (uint32_t)s->zygote.pid);
        struct fsrv__child *child = fsrv__child_find(s, (pid_t)pid);
        if (!child)
                return;
        /* its claim was sent before its death, and nothing promises epoll(7)'s order */
        if (child->role != FSRV_ROLE_WORKER)
                fsrv__children_on_claims(s);
        look_for_hangup(s, child);
        fsrv__family_before_reaping(child);
        int r = fsrv__reap_pidfd(child->pidfd, &exit, &rusage);
        if (r == 0)
                return;
        if (child->role == FSRV_ROLE_WORKER && r == 1)
                on_worker_exit(s, child, &exit, &rusage);
        else
                on_other_exit(s, child, r == 1 ? &exit : NULL);
}

/* Its client has gone, or closed the handle. */
void fsrv__child_on_hangup(struct fsrv__supervisor *s, uint32_t pid) {
        struct fsrv__child *child = fsrv__child_find(s, (pid_t)pid);

        if (!child || child->answer < 0)
                return;
        unwatch_client(s, child);
        if (child->status < 0 && take_other_answer(&child->answer) == 1)
                watch_client(s, child);
        else if (child->flags & FSRV_WIRE_KILL_ON_CLOSE)
                fsrv__child_kill(child); /* the answer stays open, so that a draining server waits for this death */
        else
                hang_up(s, child);
}

static void on_claim(struct fsrv__supervisor *s, pid_t pid, const struct fsrv__wire_claim *claim,
                     struct fsrv__message *message) {
        struct fsrv__child *child = fsrv__child_find(s, pid);

        s->stats.claims++;
        s->stats.spawns++;
        fsrv__zygote_on_claim(s);
        if (!child)
                child = fsrv__child_add(s, pid, FSRV_ROLE_STRAY); /* faster than its FORKED */
        if (!child || child->role == FSRV_ROLE_WORKER) {
                fsrv__message_close(message); /* its client asks the kernel for the status */
                return;
        }
        if (child->role == FSRV_ROLE_STANDBY)
                s->idle--;
        child->role = FSRV_ROLE_WORKER;
        child->answer = message->fds[0];
        child->status = message->n_fds > 1 ? message->fds[1] : -1;
        child->flags = claim->flags;
        s->answers++;
        s->statuses += child->status >= 0;
        if (claim->time_limit_ms)
                fsrv__family_limit(s, child, claim->time_limit_ms, claim->grace_ms);
        if (s->draining || child->flags & FSRV_WIRE_KILL_ON_CLOSE)
                watch_client(s, child);
        if (child->flags & FSRV_WIRE_TELL_STOPS)
                fsrv__signals_take_children(s);
        send_word(child, pid);
        if (s->killing)
                fsrv__child_kill(child);
}

/* It ends by itself. Who has its memory is ours as well, and may have died before it claimed. */
static void on_retired(struct fsrv__supervisor *s, pid_t pid, pid_t borrower) {
        struct fsrv__child *child = fsrv__child_find(s, pid);

        if (!child)
                fsrv__child_add(s, pid, FSRV_ROLE_RETIRED); /* faster than its FORKED */
        else if (child->role == FSRV_ROLE_STANDBY) {
                s->idle--;
                child->role = FSRV_ROLE_RETIRED;
        }
        if (borrower > 0 && !fsrv__child_find(s, borrower))
                fsrv__child_add(s, borrower, FSRV_ROLE_STRAY);
}

void fsrv__children_on_claims(struct fsrv__supervisor *s) {
        struct fsrv__wire_claim claim;
        struct fsrv__message message;

        for (;;) {
                int r = fsrv__channel_receive(s->claims[0], &claim, sizeof claim, MSG_DONTWAIT, &message);
                if (r == -EMFILE) {
                        fsrv__message_close(&message);
                        continue;
                }
                if (r != 1)
                        return;
                if (message.size == sizeof claim && claim.type == FSRV_WIRE_CLAIM &&
                    message.n_fds == (claim.flags & FSRV_WIRE_HAS_STATUS ? 2 : 1)) {
                        on_claim(s, message.sender.pid, &claim, &message);
                        continue;
                }
                if (message.size == sizeof claim && claim.type == FSRV_WIRE_RETIRED)
                        on_retired(s, message.sender.pid, claim.borrower);
                if (message.size == sizeof claim && claim.type == FSRV_WIRE_SETUP_FAILED &&
                    claim.stage < FSRV_STAGE_COUNT)
                        s->stats.failures[claim.stage]++;
                fsrv__message_close(&message);
        }
}

void fsrv__children_on_time(struct fsrv__supervisor *s, int64_t now) {
        fsrv__families_on_time(s, now);
        retry_owed(s);
}

void fsrv__children_watch_clients(struct fsrv__supervisor *s) {
        struct fsrv__child *child, *next;

        HASH_ITER(hh, s->children, child, next)
                if (child->answer >= 0)
                        watch_client(s, child);
}

void fsrv__children_kill(struct fsrv__supervisor *s) {
        struct fsrv__child *child, *next;

        s->killing = true;
        HASH_ITER(hh, s->children, child, next)
                fsrv__child_kill(child);
        fsrv__families_kill(s);
}

int fsrv__child_release(struct fsrv__supervisor *s, pid_t pid) {
        struct fsrv__child *child = fsrv__child_find(s, pid);

        if (!child)
                return -1;
        int pidfd = fsrv__fd_steal(&child->pidfd);
        fsrv__unwatch(s, pidfd);
        forget(s, child);
        return pidfd;
}

void fsrv__children_find(struct fsrv__supervisor *s, enum fsrv__role role) {
        char path[64];
        int pid;

        fsrv__children_on_claims(s); /* who has claimed is known */
        snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
        FILE *list = fopen(path, "re");
        if (!list)
                return; /* without CONFIG_PROC_CHILDREN such a child is met when it claims */
        while (fscanf(list, "%d", &pid) == 1)
                if (pid != s->zygote.pid && !fsrv__child_find(s, pid))
                        fsrv__child_add(s, pid, role);
        fclose(list);
}

void fsrv__children_reap_all(struct fsrv__supervisor *s) {
        pid_t pid;

        while (fsrv__peek_dead(&pid) == 1) {
                fsrv__zygote_on_orders(s, (uint32_t)s->zygote.pid); /* as in fsrv__child_on_exit() */
                fsrv__children_on_claims(s);
                if (pid == s->zygote.pid)
                        fsrv__zygote_on_exit(s, (uint32_t)pid);
                else if (fsrv__child_find(s, pid))
                        fsrv__child_on_exit(s, (uint32_t)pid);
                else
                        waitpid(pid, NULL, 0); /* what a worker left behind when it turned itself into a daemon */
        }
}
