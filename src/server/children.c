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
#include "server/server.h"

struct fsrv_child *fsrv_child_find(struct fsrv_supervisor *s, pid_t pid) {
        struct fsrv_child *child;

        HASH_FIND_INT(s->children, &pid, child);
        return child;
}

static void become_standby(struct fsrv_supervisor *s, struct fsrv_child *child) {
        child->role = FSRV_ROLE_STANDBY;
        s->idle++;
        fsrv_standbys_watch(s, child);
}

/* By pid, which is safe until we reap: nobody else can. A dead child has a pidfd too. But a zygote may tell so late of
 * one that it has been reaped, as it was faster with its claim; the pid may be a stranger's by then. (One that forks
 * twice tells of a child before it is ours: we read that before we reap.) */
struct fsrv_child *fsrv_child_add(struct fsrv_supervisor *s, pid_t pid, enum fsrv_role role) {
        struct fsrv_child *child = calloc(1, sizeof *child);

        if (!child)
                return NULL;
        child->pid = pid;
        child->role = role;
        child->answer = child->status = -1;
        child->deadline = FSRV_NEVER;
        child->pidfd = fsrv_pidfd_open(pid);
        if (child->pidfd < 0 || (!s->is_reaper && !fsrv_is_child(child->pidfd)) ||
            fsrv_watch(s, child->pidfd, EPOLLIN, FSRV_SOURCE_CHILD, (uint32_t)pid) < 0) {
                fsrv_fd_close(child->pidfd);
                free(child);
                return NULL;
        }
        HASH_ADD_INT(s->children, pid, child);
        if (role == FSRV_ROLE_STANDBY)
                become_standby(s, child);
        return child;
}

/* Its claim may have been faster, or a look through the children. */
void fsrv_child_on_forked(struct fsrv_supervisor *s, pid_t pid) {
        struct fsrv_child *child = fsrv_child_find(s, pid);

        if (!child)
                fsrv_child_add(s, pid, FSRV_ROLE_STANDBY);
        else if (child->role == FSRV_ROLE_STRAY)
                become_standby(s, child);
}

/* ---- answers ---- */

/* The socket that closes when nobody waits for the status any more. */
static int client_of(const struct fsrv_child *child) {
        return child->status >= 0 ? child->status : child->answer;
}

/* Each has a pidfd. Those that are still to claim may come with a socket to the client, and with one for the status; a
 * standby's claim may follow those of who borrowed its memory. */
bool fsrv_child_fits(const struct fsrv_supervisor *s) {
        unsigned alive = HASH_COUNT(s->children), due = s->zygote.due, loans = 3 * s->config.head.loans;

        return alive + s->ended + s->answers + s->statuses + s->n_owed + (2 + loans) * s->idle +
                               (3 + loans) * (due + 1) <=
                       s->room ||
               alive + due == 0;
}

static void watch_client(struct fsrv_supervisor *s, const struct fsrv_child *child) {
        fsrv_watch(s, client_of(child), 0, FSRV_SOURCE_ANSWER, (uint32_t)child->pid); /* hang-up is always reported */
}

/* The worker shares the socket's open file, so closing our fd would not end the watch. */
static void unwatch_client(struct fsrv_supervisor *s, const struct fsrv_child *child) {
        if (s->draining || child->flags & FSRV_WIRE_KILL_ON_CLOSE)
                fsrv_unwatch(s, client_of(child));
}

/* The caller's, from now on. */
static int take_answer(struct fsrv_supervisor *s, struct fsrv_child *child) {
        unwatch_client(s, child);
        s->answers--;
        s->statuses -= child->status >= 0;
        child->status = fsrv_fd_close(child->status);
        return fsrv_fd_steal(&child->answer);
}

static void hang_up(struct fsrv_supervisor *s, struct fsrv_child *child) {
        if (child->answer >= 0)
                fsrv_fd_close(take_answer(s, child));
}

/* A word of the status socket; a client that doesn't want it is no concern. A stream socket, so that nothing can block
 * us, and an empty one takes two words. */
static void send_word(const struct fsrv_child *child, int64_t word) {
        if (child->status >= 0)
                (void)!send(child->status, &word, sizeof word, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void forget(struct fsrv_supervisor *s, struct fsrv_child *child) {
        hang_up(s, child);
        fsrv_family_unlimit(s, child);
        fsrv_fd_close(child->pidfd);
        HASH_DEL(s->children, child);
        free(child);
}

/* Who gives up shuts its answer down, for nothing to start behind its back; if something has, it sends another one
 * there. 1: it has; 0: nobody listens any more; -EAGAIN: it may do so yet. */
static int take_other_answer(int *answer) {
        struct fsrv_wire_more more;
        struct fsrv_message message;
        int r = fsrv_channel_receive(*answer, &more, sizeof more, MSG_DONTWAIT, &message);

        if (r == 1 && message.n_fds == 1) {
                fsrv_fd_close(*answer);
                *answer = message.fds[0];
                return 1;
        }
        if (r == 1 || r == -EMFILE)
                fsrv_message_close(&message);
        return r == -EAGAIN ? r : 0;
}

/* True when the client has it, or cannot be told any more. */
static bool send_exited(int *answer, const struct fsrv_wire_exited *exited) {
        int r = fsrv_channel_send(*answer, exited, sizeof *exited, NULL, 0, MSG_DONTWAIT);

        if (r == -EPIPE) {
                r = take_other_answer(answer);
                if (r == 1)
                        r = fsrv_channel_send(*answer, exited, sizeof *exited, NULL, 0, MSG_DONTWAIT);
        }
        return r != -EAGAIN && r != -ENOBUFS && r != -ENOMEM;
}

/* Whatever its client does, the child can be forgotten: its pid may be another's at any time. */
static void deliver(struct fsrv_supervisor *s, struct fsrv_child *child, const struct fsrv_wire_exited *exited) {
        int answer = child->answer < 0 ? -1 : take_answer(s, child);
        struct fsrv_owed *owed = NULL;

        /* without memory the client finds end-of-file instead, and asks the kernel */
        if (answer >= 0 && !send_exited(&answer, exited))
                owed = malloc(sizeof *owed);
        if (owed) {
                *owed = (struct fsrv_owed){ .next = s->owed, .answer = answer, .exited = *exited };
                s->owed = owed;
                s->n_owed++;
        } else {
                fsrv_fd_close(answer);
        }
}

static void retry_owed(struct fsrv_supervisor *s) {
        for (struct fsrv_owed **at = &s->owed; *at;) {
                struct fsrv_owed *owed = *at;
                if (!send_exited(&owed->answer, &owed->exited)) {
                        at = &owed->next;
                        continue;
                }
                *at = owed->next;
                s->n_owed--;
                fsrv_fd_close(owed->answer);
                free(owed);
        }
}

/* ---- events ---- */

/* Who does not work in it: a standby, one that never claimed, and what the kernel says is none of ours. */
static void on_other_exit(struct fsrv_supervisor *s, struct fsrv_child *child, const struct fsrv_exit *exit) {
        bool is_standby = child->role == FSRV_ROLE_STANDBY;

        if (is_standby) {
                s->idle--;
                if (exit)
                        fsrv_zygote_on_standby_end(s, exit, child->timed_out);
        }
        forget(s, child);
        if (is_standby && !s->draining && !s->is_reaper) {
                fsrv_zygote_on_orders(s, (uint32_t)s->zygote.pid);
                fsrv_children_find(s, FSRV_ROLE_STRAY); /* who borrowed its memory may be dying with it */
        }
}

static void on_worker_exit(struct fsrv_supervisor *s, struct fsrv_child *child, const struct fsrv_exit *exit,
                           const struct rusage *rusage) {
        struct fsrv_wire_exited exited = { .type = FSRV_WIRE_EXITED,
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
        fsrv_refusal_on_end(s);
        if (!fsrv_family_outlives(s, child))
                forget(s, child);
}

static bool has_gone(int client) {
        struct pollfd entry = { .fd = client };

        return poll(&entry, 1, 0) == 1 && entry.revents & (POLLHUP | POLLERR);
}

/* Nothing promises which event comes first: the death, or the hang-up that is to bring death to the whole family. */
static void look_for_hangup(struct fsrv_supervisor *s, struct fsrv_child *child) {
        if (child->role == FSRV_ROLE_WORKER && child->flags & FSRV_WIRE_KILL_ON_CLOSE && child->answer >= 0 &&
            has_gone(client_of(child)))
                fsrv_child_on_hangup(s, (uint32_t)child->pid);
}

void fsrv_child_on_exit(struct fsrv_supervisor *s, uint32_t pid) {
        struct fsrv_exit exit;
        struct rusage rusage;

        /* this child's FORKED was sent before it became ours */
        if (s->is_reaper)
                fsrv_zygote_on_orders(s, (uint32_t)s->zygote.pid);
        struct fsrv_child *child = fsrv_child_find(s, (pid_t)pid);
        if (!child)
                return;
        /* its claim was sent before its death, and nothing promises epoll(7)'s order */
        if (child->role != FSRV_ROLE_WORKER)
                fsrv_children_on_claims(s);
        look_for_hangup(s, child);
        fsrv_family_before_reaping(child);
        int r = fsrv_reap_pidfd(child->pidfd, &exit, &rusage);
        if (r == 0)
                return;
        if (child->role == FSRV_ROLE_WORKER && r == 1)
                on_worker_exit(s, child, &exit, &rusage);
        else
                on_other_exit(s, child, r == 1 ? &exit : NULL);
}

/* Its client has gone, or closed the handle. */
void fsrv_child_on_hangup(struct fsrv_supervisor *s, uint32_t pid) {
        struct fsrv_child *child = fsrv_child_find(s, (pid_t)pid);

        if (!child || child->answer < 0)
                return;
        unwatch_client(s, child);
        if (child->status < 0 && take_other_answer(&child->answer) == 1)
                watch_client(s, child);
        else if (child->flags & FSRV_WIRE_KILL_ON_CLOSE)
                fsrv_child_kill(child); /* the answer stays open, so that a draining server waits for this death */
        else
                hang_up(s, child);
}

static void on_claim(struct fsrv_supervisor *s, pid_t pid, const struct fsrv_wire_claim *claim,
                     struct fsrv_message *message) {
        struct fsrv_child *child = fsrv_child_find(s, pid);

        s->stats.claims++;
        s->stats.spawns++;
        fsrv_zygote_on_claim(s);
        if (!child)
                child = fsrv_child_add(s, pid, FSRV_ROLE_STRAY); /* faster than its FORKED */
        if (!child || child->role == FSRV_ROLE_WORKER) {
                fsrv_message_close(message); /* its client asks the kernel for the status */
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
                fsrv_family_limit(s, child, claim->time_limit_ms, claim->grace_ms);
        if (s->draining || child->flags & FSRV_WIRE_KILL_ON_CLOSE)
                watch_client(s, child);
        if (child->flags & FSRV_WIRE_TELL_STOPS)
                fsrv_signals_take_children(s);
        send_word(child, pid);
        if (s->killing)
                fsrv_child_kill(child);
}

/* It ends by itself. Who has its memory is ours as well, and may have died before it claimed. */
static void on_retired(struct fsrv_supervisor *s, pid_t pid, pid_t borrower) {
        struct fsrv_child *child = fsrv_child_find(s, pid);

        if (!child)
                fsrv_child_add(s, pid, FSRV_ROLE_RETIRED); /* faster than its FORKED */
        else if (child->role == FSRV_ROLE_STANDBY) {
                s->idle--;
                child->role = FSRV_ROLE_RETIRED;
        }
        if (borrower > 0 && !fsrv_child_find(s, borrower))
                fsrv_child_add(s, borrower, FSRV_ROLE_STRAY);
}

void fsrv_children_on_claims(struct fsrv_supervisor *s) {
        struct fsrv_wire_claim claim;
        struct fsrv_message message;

        for (;;) {
                int r = fsrv_channel_receive(s->claims[0], &claim, sizeof claim, MSG_DONTWAIT, &message);
                if (r == -EMFILE) {
                        fsrv_message_close(&message);
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
                fsrv_message_close(&message);
        }
}

void fsrv_children_on_time(struct fsrv_supervisor *s, int64_t now) {
        fsrv_families_on_time(s, now);
        retry_owed(s);
}

void fsrv_children_watch_clients(struct fsrv_supervisor *s) {
        struct fsrv_child *child, *next;

        HASH_ITER(hh, s->children, child, next)
                if (child->answer >= 0)
                        watch_client(s, child);
}

void fsrv_children_kill(struct fsrv_supervisor *s) {
        struct fsrv_child *child, *next;

        s->killing = true;
        HASH_ITER(hh, s->children, child, next)
                fsrv_child_kill(child);
        fsrv_families_kill(s);
}

int fsrv_child_release(struct fsrv_supervisor *s, pid_t pid) {
        struct fsrv_child *child = fsrv_child_find(s, pid);

        if (!child)
                return -1;
        int pidfd = fsrv_fd_steal(&child->pidfd);
        fsrv_unwatch(s, pidfd);
        forget(s, child);
        return pidfd;
}

void fsrv_children_find(struct fsrv_supervisor *s, enum fsrv_role role) {
        char path[64];
        int pid;

        fsrv_children_on_claims(s); /* who has claimed is known */
        snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
        FILE *list = fopen(path, "re");
        if (!list)
                return; /* without CONFIG_PROC_CHILDREN such a child is met when it claims */
        while (fscanf(list, "%d", &pid) == 1)
                if (pid != s->zygote.pid && !fsrv_child_find(s, pid))
                        fsrv_child_add(s, pid, role);
        fclose(list);
}

void fsrv_children_reap_all(struct fsrv_supervisor *s) {
        pid_t pid;

        while (fsrv_peek_dead(&pid) == 1) {
                fsrv_zygote_on_orders(s, (uint32_t)s->zygote.pid); /* as in fsrv_child_on_exit() */
                fsrv_children_on_claims(s);
                if (pid == s->zygote.pid)
                        fsrv_zygote_on_exit(s, (uint32_t)pid);
                else if (fsrv_child_find(s, pid))
                        fsrv_child_on_exit(s, (uint32_t)pid);
                else
                        waitpid(pid, NULL, 0); /* what a worker left behind when it turned itself into a daemon */
        }
}
