/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "base/probe.h"
#include "client/launch.h"
#include "client/process.h"
#include "client/request.h"
#include "client/spawning.h"
#include "wire/messages.h"

/* One spawn, from the server's start to the process's handle, in steps that do not wait. The caller waits between them,
 * in its own way. */

enum {
        TRIES = 3,               /* of processes that die on their way: a fault in the setting-up shows */
        EXEC_TIMEOUT_MS = 10000, /* at least, for execve(2) alone, which a network file system may hold up */
        SERVER_TRIES = 10,       /* of servers that are killed under us */
        DYING_MS = 500,          /* from the first death of a server's standbys to the last, at most */
};

void fsrv__spawning_init(struct fsrv__spawning *s, struct fsrv_server *server, struct fsrv__prepared *prepared) {
        *s = (struct fsrv__spawning){ .server = server,
                                      .prepared = prepared,
                                      .deadline = fsrv__deadline(prepared->request->spawn_timeout_ms),
                                      .answer = -1,
                                      .status = -1,
                                      .result = -1,
                                      .theirs = { -1, -1, -1 },
                                      .pidfd = -1,
                                      .exec_pipe = -1 };
}

/* ---- the server ---- */

static int acquire_server(struct fsrv__spawning *s) {
        int r = fsrv__server_try(s->server, fsrv__server_needs(s->server), &s->pending, &s->grip, &s->error);

        if (r == 1)
                return fsrv__spawning_wait_for(s, s->pending.launch->changed, POLLIN, s->pending.look_at);
        if (r == 0 && !s->prepared->bytes)
                r = fsrv__prepared_make(s->prepared, &s->grip, s->deadline, &s->error);
        s->at = FSRV_SPAWNING_SEND;
        return r < 0 ? r : FSRV_STEP_GO_ON;
}

/* ---- hearing of it ---- */

struct answer {
        union fsrv__wire_answer bytes;
        size_t size;
        int slots[FSRV_SLOTS];
};

static int on_failed(struct fsrv__spawning *s, const struct fsrv__wire_failed *failed) {
        int err = failed->err > 0 ? failed->err : EPROTO;

        fsrv__fail_text(&s->error, failed->stage, err, "%.*s", (int)sizeof failed->text - 1, failed->text);
        s->error.pid = failed->pid;
        return -err;
}

static int on_running(struct fsrv__spawning *s) {
        s->process = fsrv__process_new(s->pid, fsrv__fd_steal(&s->answer), fsrv__fd_steal(&s->pidfd),
                                       fsrv__fd_steal(&s->result), s->prepared->flags);
        return s->process ? 0 : fsrv__fail(&s->error, FSRV_STAGE_SETUP, ENOMEM, "the handle of process %d", s->pid);
}

static int on_started(struct fsrv__spawning *s, const struct fsrv__wire_started *started, const int slots[FSRV_SLOTS]) {
        s->pid = started->pid;
        s->pidfd = fsrv__fd_close(s->pidfd);
        s->pidfd = slots[FSRV_SLOT_PIDFD];
        s->exec_pipe = slots[FSRV_SLOT_EXEC_PIPE];
        if (s->exec_pipe < 0)
                return on_running(s);
        /* The process has started, so the caller's time-out must not hit a program that has just been executed. */
        int64_t deadline = fsrv__deadline(EXEC_TIMEOUT_MS);
        if (s->deadline < deadline)
                s->deadline = deadline;
        s->at = FSRV_SPAWNING_EXECUTE;
        return fsrv__spawning_wait_for(s, s->exec_pipe, POLLIN, FSRV_NEVER);
}

/* The pipe ends empty when execve(2) has succeeded, as it is close-on-exec. */
static int hear_of_execve(struct fsrv__spawning *s) {
        struct pollfd entry = { .fd = s->exec_pipe, .events = POLLIN };
        struct fsrv__wire_failed failed;
        ssize_t n;

        if (poll(&entry, 1, 0) == 0)
                return fsrv__spawning_wait_for(s, s->exec_pipe, POLLIN, FSRV_NEVER);
        do
                n = read(s->exec_pipe, &failed, sizeof failed);
        while (n < 0 && errno == EINTR);
        return n == sizeof failed ? on_failed(s, &failed) : on_running(s);
}

/* The process has started, but the caller has no room for its fds: sending the request freed two numbers, and other
 * threads have taken them. The process is killed, as no caller would know of it. */
static int on_lost_fds(struct fsrv__spawning *s, const struct answer *answer) {
        struct pollfd next = { .fd = s->answer, .events = POLLIN };

        if (answer->bytes.type == FSRV_WIRE_STARTED) {
                if (answer->slots[FSRV_SLOT_PIDFD] >= 0)
                        fsrv__pidfd_send_signal(answer->slots[FSRV_SLOT_PIDFD], SIGKILL);
                else if (answer->bytes.started.pid > 0 && poll(&next, 1, 0) == 0)
                        kill(answer->bytes.started.pid,
                             SIGKILL); /* its parent has told of no end, so the pid is its own */
        }
        fsrv__fd_close(answer->slots[FSRV_SLOT_PIDFD]);
        return fsrv__fail(&s->error, FSRV_STAGE_SETUP, EMFILE, "the new process was killed, as its pidfd did not fit");
}

/* The first of the message's fds may have come. Of STARTED that is the pidfd. */
static void take_first_fd(struct answer *answer, struct fsrv__message *message) {
        int r = fsrv__message_check(FSRV_TABLE_ANSWER, &answer->bytes, message->size);

        memset(answer->slots, -1, sizeof answer->slots);
        if (r < 0)
                answer->bytes.type = 0;
        if (message->n_fds > 0)
                answer->slots[FSRV_SLOT_PIDFD] = fsrv__fd_steal(&message->fds[0]);
        fsrv__message_close(message);
}

/* 1: an answer; 0: the end; -EMFILE: one, but for its fds; another -errno. */
static int receive_one(struct fsrv__spawning *s, struct answer *answer) {
        struct fsrv__message message;

        message.size = 0;
        int r = fsrv__channel_receive(s->answer, &answer->bytes, sizeof answer->bytes, MSG_DONTWAIT, &message);

        answer->size = message.size;
        if (r == -EMFILE)
                take_first_fd(answer, &message);
        if (r != 1)
                return r;
        r = fsrv__message_unpack(FSRV_TABLE_ANSWER, &answer->bytes, &message, answer->slots);
        return r < 0 ? r : 1;
}

/* These come before STARTED and end nothing. A stop during the setting-up does not concern the caller. */
static bool is_by_the_way(struct fsrv__spawning *s, const struct answer *answer) {
        if (answer->bytes.type == FSRV_WIRE_LOADS) {
                fsrv__fd_close(s->pidfd);
                s->pidfd = answer->slots[FSRV_SLOT_PIDFD]; /* by which it can be ended before it has started */
                return s->loads = true;
        }
        return answer->bytes.type == FSRV_WIRE_STOPPED || answer->bytes.type == FSRV_WIRE_CONTINUED;
}

static int receive_answer(struct fsrv__spawning *s, struct answer *answer) {
        int r;

        do
                r = receive_one(s, answer);
        while (r == 1 && is_by_the_way(s, answer));
        return r;
}

/* The answer ended without a word: a standby was killed before it claimed, or the server died with all its standbys.
 * Each standby that dies with its server may take a request on its way out. So when this happens again, the doorbell
 * gets the time to die with the last of them. */
static int on_silence(struct fsrv__spawning *s) {
        if (s->loads)
                return fsrv__stillborn_loading(s);
        s->at = FSRV_SPAWNING_DYING;
        s->dying_until = fsrv__deadline(s->in_vain++ ? DYING_MS : 0);
        return FSRV_STEP_GO_ON;
}

static int look_for_death(struct fsrv__spawning *s) {
        struct pollfd entry = { .fd = fsrv__spawning_doorbell(s) };

        if (poll(&entry, 1, 0) == 1 && entry.revents & (POLLHUP | POLLERR))
                return FSRV_STEP_SERVER_GONE;
        return fsrv__now() >= s->dying_until ? FSRV_STEP_NOTHING_RAN
                                             : fsrv__spawning_wait_for(s, entry.fd, 0, s->dying_until);
}

static int on_answer(struct fsrv__spawning *s, int received, const struct answer *answer) {
        if (received == 0)
                return on_silence(s);
        if (received == -EMFILE)
                return on_lost_fds(s, answer);
        if (received == -EPROTO)
                return fsrv__fail_text(&s->error, FSRV_STAGE_SETUP, EPROTO, "an answer of %zu bytes", answer->size);
        if (received < 0)
                return fsrv__fail(&s->error, FSRV_STAGE_SETUP, -received, "the new process's answer");
        switch (answer->bytes.type) {
        case FSRV_WIRE_STARTED:
                FSRV_PROBE(spawn_started, s->answer, answer->bytes.started.pid);
                return on_started(s, &answer->bytes.started, answer->slots);
        case FSRV_WIRE_FAILED:
                return on_failed(s, &answer->bytes.failed);
        case FSRV_WIRE_EXITED:
                s->death = answer->bytes.exited;
                return s->loads ? fsrv__stillborn_loading(s) : FSRV_STEP_NOTHING_RAN;
        default: /* READY */
                if (s->prepared->request->kind == FSRV_WIRE_PROBE)
                        return 0;
                return fsrv__fail_text(&s->error, FSRV_STAGE_SETUP, EPROTO, "an answer to another question");
        }
}

static int hear_answer(struct fsrv__spawning *s) {
        struct answer answer;
        int r = receive_answer(s, &answer);

        return r == -EAGAIN ? fsrv__spawning_wait_for(s, s->answer, POLLIN, FSRV_NEVER) : on_answer(s, r, &answer);
}

/* ---- one after the other ---- */

void fsrv__spawning_leave(struct fsrv__spawning *s) {
        fsrv__server_try_no_more(s->server, &s->pending);
        s->locked = fsrv__link_unref(s->locked);
        fsrv__server_release(&s->grip);
        s->answer = fsrv__fd_close(s->answer);
        s->status = fsrv__fd_close(s->status);
        s->result = fsrv__fd_close(s->result);
        s->pidfd = fsrv__fd_close(s->pidfd);
        s->exec_pipe = fsrv__fd_close(s->exec_pipe);
        fsrv__fds_close(s->theirs, 3);
        s->at = FSRV_SPAWNING_ACQUIRE;
}

/* The sandbox's zygote is gone, or will never be there: then the answer says why. */
static int on_sandbox_gone(struct fsrv__spawning *s) {
        struct answer answer;

        fsrv__sandbox_link_forget(s->server, s->grip.link, s->locked);
        if (receive_answer(s, &answer) == 1 && answer.bytes.type == FSRV_WIRE_FAILED)
                return on_failed(s, &answer.bytes.failed);
        return FSRV_STEP_GO_ON;
}

static int once_more(struct fsrv__spawning *s, int why) {
        if (why == FSRV_STEP_SERVER_GONE) {
                int r = s->locked ? on_sandbox_gone(s) : FSRV_STEP_GO_ON;
                if (r != FSRV_STEP_GO_ON)
                        return r;
                if (!s->locked)
                        fsrv__server_forget(s->server, s->grip.link);
                s->lost = 0; /* a new server, new luck */
                if (++s->gone >= SERVER_TRIES)
                        return fsrv__fail_text(&s->error, FSRV_STAGE_START, ECONNRESET,
                                               "the fork server died (tried %d times)", SERVER_TRIES);
        } else if (++s->lost >= TRIES)
                return fsrv__stillborn_vain(s, TRIES);
        fsrv__spawning_leave(s);
        return FSRV_STEP_GO_ON;
}

static int go_on(struct fsrv__spawning *s, int r) {
        static int (*const steps[])(struct fsrv__spawning * s) = {
                [FSRV_SPAWNING_ACQUIRE] = acquire_server,
                [FSRV_SPAWNING_SEND] = fsrv__spawning_send,
                [FSRV_SPAWNING_SEND_MORE] = fsrv__spawning_send_more,
                [FSRV_SPAWNING_HEAR] = hear_answer,
                [FSRV_SPAWNING_DYING] = look_for_death,
                [FSRV_SPAWNING_EXECUTE] = hear_of_execve,
        };

        for (;;) {
                if (r == FSRV_STEP_SERVER_GONE || r == FSRV_STEP_NOTHING_RAN)
                        r = once_more(s, r);
                if (r != FSRV_STEP_GO_ON)
                        return r;
                r = steps[s->at](s);
        }
}

int fsrv__spawning_step(struct fsrv__spawning *s) {
        return go_on(s, FSRV_STEP_GO_ON);
}

/* ---- when somebody's patience has ended ---- */

/* On a socket that is shut, EXITED cannot come either, unless it came a moment ago. The server, which fails to send it,
 * finds another socket there. Where there is no fd left for that, the pidfd may know the status. */
static void replace_answer(int *answer) {
        const struct fsrv__wire_more more = { .type = FSRV_WIRE_OTHER_ANSWER };
        char byte;
        int pair[2];

        if (recv(*answer, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) > 0 || fsrv__socketpair(pair) < 0)
                return;
        if (fsrv__channel_send(*answer, &more, sizeof more, &pair[1], 1, MSG_DONTWAIT) == 0) {
                int old = *answer;
                *answer = pair[0];
                pair[0] = old;
        }
        fsrv__fds_close(pair, 2);
}

/* The shutdown comes before the look. A worker that could not say STARTED then does not run, and STARTED of one that
 * could is here. */
static int last_look(struct fsrv__spawning *s, struct answer *answer) {
        int r = receive_answer(s, answer);

        if (r != -EAGAIN)
                return r;
        shutdown(s->answer, SHUT_RD);
        r = receive_answer(s, answer);
        if (r == 1 && answer->bytes.type == FSRV_WIRE_STARTED)
                replace_answer(&s->answer);
        return r;
}

/* After this no process runs the request, or one does and is known. */
static int withdraw_request(struct fsrv__spawning *s, int why) {
        struct answer answer;
        int r = last_look(s, &answer);

        if (r == 1 || r == -EMFILE)
                return on_answer(s, r, &answer);
        if (s->loads && s->pidfd >= 0) /* else a module that hangs would stay */
                fsrv__pidfd_send_signal(s->pidfd, SIGKILL);
        if (why == -EINTR)
                return fsrv__interrupted(&s->error, FSRV_STAGE_QUEUE);
        if (s->loads)
                return fsrv__stillborn_slow(s);
        return fsrv__fail_text(&s->error, FSRV_STAGE_QUEUE, ETIMEDOUT,
                               "no process took the request in time: the zygote is still loading, or too much is asked "
                               "of it");
}

static int no_room(struct fsrv__spawning *s) {
        int err = s->full == -EAGAIN ? ETIMEDOUT : -s->full;

        return fsrv__fail_text(&s->error, FSRV_STAGE_QUEUE, err, "the fork server's queue is full: %s",
                               strerrordesc_np(err));
}

static int kill_it(struct fsrv__spawning *s, int why) {
        if (s->pidfd >= 0)
                fsrv__pidfd_send_signal(s->pidfd, SIGKILL);
        if (why == -EINTR)
                return fsrv__interrupted(&s->error, FSRV_STAGE_EXEC);
        return fsrv__fail_text(&s->error, FSRV_STAGE_EXEC, ETIMEDOUT,
                               "executing '%s' took too long, so the process was killed", s->prepared->request->name);
}

static int end_by(struct fsrv__spawning *s, int why) {
        switch (s->at) {
        case FSRV_SPAWNING_ACQUIRE:
                return why == -EINTR ? fsrv__interrupted(&s->error, FSRV_STAGE_START)
                                     : fsrv__launch_time_out(s->server, &s->error);
        case FSRV_SPAWNING_SEND:
        case FSRV_SPAWNING_SEND_MORE:
                return why == -EINTR ? fsrv__interrupted(&s->error, FSRV_STAGE_QUEUE) : no_room(s);
        case FSRV_SPAWNING_EXECUTE:
                return kill_it(s, why);
        case FSRV_SPAWNING_DYING:
                return FSRV_STEP_NOTHING_RAN;
        default:
                return withdraw_request(s, why);
        }
}

int fsrv__spawning_end(struct fsrv__spawning *s, int why) {
        return go_on(s, end_by(s, why));
}

int fsrv__spawning_cancel(struct fsrv__spawning *s) {
        bool runs = s->at == FSRV_SPAWNING_EXECUTE;
        int r = end_by(s, -EINTR);

        runs = runs || s->loads;   /* a module's constructors have begun */
        if (r == FSRV_STEP_WAIT) { /* a program has started in this moment */
                kill_it(s, -EINTR);
                runs = true;
        }
        if (s->process) {
                s->process = fsrv__process_end(s->process);
                runs = true;
        }
        return runs;
}
