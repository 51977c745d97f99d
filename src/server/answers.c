/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/probe.h"
#include "server/server.h"
#include "wire/messages.h"

/* This socket hangs up when the client no longer waits for the status. */
static int client_of(const struct fsrv__child *child) {
        return child->status >= 0 ? child->status : child->answer;
}

static void watch_client(struct fsrv__server *s, const struct fsrv__child *child) {
        fsrv__watch(s, client_of(child), 0, FSRV_SOURCE_ANSWER, (uint32_t)child->pid); /* hang-up is always reported */
}

/* The worker shares the socket's open file, so closing our fd would not end the watch. */
static void unwatch_client(struct fsrv__server *s, const struct fsrv__child *child) {
        if (s->draining || child->flags & FSRV_WIRE_KILL_ON_CLOSE)
                fsrv__unwatch(s, client_of(child));
}

/* If the client doesn't want the word, that is no concern. It is a stream socket, so nothing can block us, and an empty
 * one takes two words. */
static void send_word(const struct fsrv__child *child, int64_t word) {
        if (child->status >= 0)
                (void)!send(child->status, &word, sizeof word, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void fsrv__answer_begin(struct fsrv__server *s, struct fsrv__child *child, int answer, int status) {
        child->answer = answer;
        child->status = status;
        s->answers++;
        s->statuses += status >= 0;
        if (s->draining || child->flags & FSRV_WIRE_KILL_ON_CLOSE)
                watch_client(s, child);
        send_word(child, child->pid);
}

/* The answer socket is the caller's from now on. */
static int take_answer(struct fsrv__server *s, struct fsrv__child *child) {
        unwatch_client(s, child);
        s->answers--;
        s->statuses -= child->status >= 0;
        child->status = fsrv__fd_close(child->status);
        return fsrv__fd_steal(&child->answer);
}

void fsrv__answer_end(struct fsrv__server *s, struct fsrv__child *child) {
        if (child->answer >= 0)
                fsrv__fd_close(take_answer(s, child));
}

/* A client that gives up shuts its answer down, so that nothing starts behind its back; if something has, it sends
 * another one there. 1: it has; 0: no client listens any more; -EAGAIN: it may do so yet. */
static int take_other_answer(int *answer) {
        struct fsrv__wire_more more;
        struct fsrv__message message;
        int slots[FSRV_SLOTS], r = fsrv__channel_receive(*answer, &more, sizeof more, MSG_DONTWAIT, &message);

        if (r == -EMFILE)
                fsrv__message_close(&message);
        if (r != 1)
                return r == -EAGAIN ? r : 0;
        if (fsrv__message_unpack(FSRV_TABLE_MORE, &more, &message, slots) < 0)
                return 0;
        fsrv__message_close(&message); /* nor are more of a request's fds wanted here */
        if (more.type != FSRV_WIRE_OTHER_ANSWER)
                return 0;
        fsrv__fd_close(*answer);
        *answer = slots[FSRV_SLOT_ANSWER];
        return 1;
}

void fsrv__answer_on_hangup(struct fsrv__server *s, struct fsrv__child *child) {
        if (child->answer < 0)
                return;
        unwatch_client(s, child);
        if (child->status < 0 && take_other_answer(&child->answer) == 1)
                watch_client(s, child);
        else if (child->flags & FSRV_WIRE_KILL_ON_CLOSE)
                fsrv__child_kill(child); /* the answer stays open, so that a draining server waits for this death */
        else
                fsrv__answer_end(s, child);
}

void fsrv__answer_look_for_hangup(struct fsrv__server *s, struct fsrv__child *child) {
        struct pollfd entry = { .fd = client_of(child) };

        if (child->role == FSRV_ROLE_WORKER && child->flags & FSRV_WIRE_KILL_ON_CLOSE && child->answer >= 0 &&
            poll(&entry, 1, 0) == 1 && entry.revents & (POLLHUP | POLLERR))
                fsrv__answer_on_hangup(s, child);
}

/* ---- the end ---- */

/* True when the client has it, or cannot be told any more. */
static bool send_exited(int *answer, const struct fsrv__wire_exited *exited) {
        int r = fsrv__channel_send(*answer, exited, sizeof *exited, NULL, 0, MSG_DONTWAIT);
        FSRV_PROBE(exited_sent, exited->pid, r);

        if (r == -EPIPE) {
                r = take_other_answer(answer);
                if (r == 1)
                        r = fsrv__channel_send(*answer, exited, sizeof *exited, NULL, 0, MSG_DONTWAIT);
        }
        return r != -EAGAIN && r != -ENOBUFS && r != -ENOMEM;
}

/* Whatever its client does, the child can be forgotten: its pid may be another's at any time. */
void fsrv__answer_deliver(struct fsrv__server *s, struct fsrv__child *child, const struct fsrv__wire_exited *exited) {
        send_word(child, exited->code == CLD_EXITED ? exited->status : -exited->status);
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

void fsrv__answers_retry(struct fsrv__server *s) {
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

void fsrv__answers_watch(struct fsrv__server *s) {
        struct fsrv__child *child, *next;

        HASH_ITER(hh, s->children, child, next)
                if (child->answer >= 0)
                        watch_client(s, child);
}
