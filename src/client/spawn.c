/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "client/caller.h"
#include "client/process.h"
#include "client/request.h"
#include "client/server.h"
#include "client/spawn.h"
#include "wire/channel.h"

enum {
        TRIES = 3,         /* of processes that die on their way: a fault in the setting-up shows */
        EXEC_TIMEOUT_MS = 10000, /* at least, for execve(2) alone: as on a network file system that hangs */
        SERVER_TRIES = 10, /* of servers that are killed under us */
};

/* Positive: the spawn did not happen for a reason that lies not in the request. */
enum {
        SERVER_GONE = 1,
        NOTHING_RAN = 2,
};

/* A request on its way: made once, sent until somebody runs it. */
struct spawning {
        const struct fsrv_request *request;
        const int *streams; /* three fds over the request's standard streams; -1: none */
        struct fsrv_error *error;
        int64_t deadline;
        char *bytes; /* head and body */
        size_t size;
        int memfd; /* the body, when it's too large for a message; else -1 */
        int *fds;  /* FSRV_WIRE_OWN_FDS, the memfd if there is one, the caller's. Borrowed but for the memfd */
        size_t n_fds;
        size_t n_user_fds;
        struct fsrv_wire_exited death; /* of a process that ran nothing */
};

static struct fsrv_wire_request *head_of(const struct spawning *s) {
        return (struct fsrv_wire_request *)s->bytes;
}

/* ---- making it ---- */

/* The default mapping of the standard streams, then the request's actions with the caller's fds numbered. */
static int number_fds(struct spawning *s, struct fsrv_wire_action **ret_actions, uint32_t *ret_n) {
        const struct fsrv_request *request = s->request;
        struct fsrv_wire_action *actions = malloc((request->n_actions + 6) * sizeof *actions);
        uint32_t n = 0;

        s->fds = malloc((FSRV_WIRE_OWN_FDS + 1 + 6 + request->n_actions) * sizeof *s->fds);
        if (!actions || !s->fds) {
                free(actions);
                return -ENOMEM;
        }
        int *fds = s->fds + FSRV_WIRE_OWN_FDS + 1;
        for (int i = 0; i < 3; i++) {
                if (!request->inherits[i] && !request->pinned[i])
                        continue;
                bool open = fsrv_fd_is_open(i) == 1;
                actions[n++] = (struct fsrv_wire_action){ .type = open ? FSRV_WIRE_INSTALL : FSRV_WIRE_CLOSE,
                                                          .target = i, .source = (uint32_t)s->n_user_fds };
                if (open)
                        fds[s->n_user_fds++] = i;
        }
        for (size_t i = 0; i < request->n_actions; i++) {
                actions[n] = request->actions[i];
                if (actions[n].type == FSRV_WIRE_INSTALL || actions[n].type == FSRV_WIRE_HAND) {
                        fds[s->n_user_fds] = (int)actions[n].source;
                        actions[n].source = (uint32_t)s->n_user_fds++;
                }
                n++;
        }
        for (int i = 0; i < 3; i++)
                if (s->streams[i] >= 0) {
                        actions[n++] = (struct fsrv_wire_action){ .type = FSRV_WIRE_INSTALL, .target = i,
                                                                  .source = (uint32_t)s->n_user_fds };
                        fds[s->n_user_fds++] = s->streams[i];
                }
        *ret_actions = actions;
        *ret_n = n;
        return 0;
}

static int fill_head(const struct spawning *s, const struct fsrv_grip *grip, struct fsrv_wire_request *head) {
        const struct fsrv_request *request = s->request;
        struct fsrv_caller caller = { 0 };
        sigset_t mask;

        if (request->umask < 0 || !request->has_ignored) {
                int r = fsrv_caller_read(grip->proc_status, &caller);
                if (r < 0)
                        return fsrv_fail(s->error, FSRV_STAGE_ARGUMENT, -r,
                                         "the caller's umask and ignored signals are in /proc/self/status, which cannot be read");
        }
        pthread_sigmask(SIG_SETMASK, NULL, &mask);
        head->kind = request->kind;
        head->umask = request->umask < 0 ? caller.umask : (uint32_t)request->umask;
        head->signals_ignored = request->has_ignored ? request->ignored : caller.signals_ignored;
        head->signal_mask = request->has_mask ? request->mask : fsrv_signals_to_bits(&mask);
        head->time_limit_ms = request->time_limit_ms;
        head->setup_limit_ms = s->deadline == FSRV_NEVER ? 0 : (uint32_t)fsrv_left(s->deadline);
        head->flags = request->flags & FSRV_SPAWN_KILL_ON_CLOSE ? FSRV_WIRE_KILL_ON_CLOSE : 0;
        if (request->new_session)
                head->flags |= FSRV_WIRE_NEW_SESSION;
        else
                head->flags |= request->has_group ? FSRV_WIRE_SET_GROUP : FSRV_WIRE_JOIN_GROUP;
        head->group = request->has_group ? request->group : getpgrp();
        return 0;
}

/* posix_spawnp(3)'s default, where PATH isn't set */
static const char *search_path(const struct fsrv_request *request) {
        if (request->kind != FSRV_WIRE_PROGRAM || strchr(request->name, '/'))
                return "";
        const char *path = getenv("PATH");
        return path ? path : "/bin:/usr/bin";
}

static int encode(struct spawning *s, const struct fsrv_grip *grip) {
        const struct fsrv_request *request = s->request;
        char *only_name[] = { request->name, NULL };
        struct fsrv_request_parts parts = {
                .name = request->name,
                .search = search_path(request),
                .directory = request->directory ? request->directory : "",
                .argv = request->argv ? request->argv : only_name,
                .environment = request->environment ? request->environment : environ,
                .paths = request->paths,
        };
        struct fsrv_wire_action *actions;

        int r = fill_head(s, grip, &parts.head);
        if (r < 0)
                return r;
        r = number_fds(s, &actions, &parts.head.n_actions);
        if (r == 0) {
                parts.actions = actions;
                parts.head.n_fds = (uint32_t)s->n_user_fds;
                r = fsrv_request_encode(&parts, &s->bytes, &s->size);
                free(actions);
        }
        return r < 0 ? fsrv_fail(s->error, FSRV_STAGE_ARGUMENT, -r, "encoding the request") : 0;
}

static int check(const struct fsrv_request *request, struct fsrv_error *error) {
        if (!request->kind)
                return fsrv_fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "the request names neither an entry point nor a program");
        if (request->new_session && request->has_group)
                return fsrv_fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                      "a new session is a new process group too: the request cannot set both");
        return 0;
}

static int prepare(struct spawning *s, const struct fsrv_grip *grip) {
        int r = encode(s, grip);

        if (r < 0)
                return r;
        if (s->size > FSRV_WIRE_MESSAGE_MAX) {
                size_t head = sizeof(struct fsrv_wire_request);
                s->memfd = fsrv_sealed_memfd("forkserver request", s->bytes + head, s->size - head);
                if (s->memfd < 0)
                        return fsrv_fail(s->error, FSRV_STAGE_ARGUMENT, -s->memfd, "a request of %zu bytes", s->size);
                head_of(s)->flags |= FSRV_WIRE_BODY_IN_MEMFD;
                s->size = head;
        }
        /* The place that was left for the memfd's number closes up when there is none. */
        int *all = s->memfd < 0 ? s->fds + 1 : s->fds;
        size_t own = FSRV_WIRE_OWN_FDS + (s->memfd >= 0);
        if (s->memfd >= 0)
                all[FSRV_WIRE_OWN_FDS] = s->memfd;
        size_t here = s->n_user_fds < FSRV_WIRE_FIRST_FDS_MAX ? s->n_user_fds : FSRV_WIRE_FIRST_FDS_MAX;
        head_of(s)->n_fds_here = (uint32_t)here;
        s->n_fds = own + here;
        return 0;
}

static void done(struct spawning *s) {
        fsrv_fd_close(s->memfd);
        free(s->bytes);
        free(s->fds);
}

/* ---- sending it ---- */

static int name_bad_fd(const struct spawning *s) {
        const int *fds = s->fds + FSRV_WIRE_OWN_FDS + 1;

        for (size_t i = 0; i < s->n_user_fds; i++)
                if (fsrv_fd_is_open(fds[i]) != 1)
                        return fsrv_fail_text(s->error, FSRV_STAGE_FDS, EBADF, "fd %d of the caller is not open", fds[i]);
        return fsrv_fail(s->error, FSRV_STAGE_FDS, EBADF, "an fd of the caller");
}

/* Waits for room: 0 if it is worth another try. Where many fds are in flight (ETOOMANYREFS counts all that this uid has,
 * unix(7)) or memory is short there is nothing to poll. */
static int wait_for_room(const struct spawning *s, int sock, int err) {
        if (fsrv_now() >= s->deadline)
                return fsrv_fail_text(s->error, FSRV_STAGE_QUEUE, err == -EAGAIN ? ETIMEDOUT : -err,
                                      "the fork server's queue is full: %s", strerrordesc_np(err == -EAGAIN ? ETIMEDOUT : -err));
        if (err == -EAGAIN) {
                struct pollfd entry = { .fd = sock, .events = POLLOUT };
                poll(&entry, 1, fsrv_left(s->deadline));
        } else {
                poll(NULL, 0, 2);
        }
        return 0;
}

static int send_patiently(const struct spawning *s, int sock, const void *bytes, size_t size, const int *fds, size_t n_fds) {
        for (;;) {
                int r = fsrv_channel_send(sock, bytes, size, fds, n_fds, MSG_DONTWAIT);
                switch (r) {
                case 0:
                        return 0;
                case -EAGAIN:
                case -ENOBUFS:
                case -ENOMEM:
                case -ETOOMANYREFS:
                        r = wait_for_room(s, sock, r);
                        if (r < 0)
                                return r;
                        break;
                case -EPIPE:
                case -ECONNRESET:
                case -ECONNREFUSED:
                case -ENOTCONN:
                        return SERVER_GONE;
                case -EBADF:
                        return name_bad_fd(s);
                default:
                        return fsrv_fail(s->error, FSRV_STAGE_QUEUE, -r, "sending the request");
                }
        }
}

static int send_request(struct spawning *s, const struct fsrv_grip *grip, int worker_end) {
        int *all = s->memfd < 0 ? s->fds + 1 : s->fds;
        FSRV_CLEANUP_FD int directory = fsrv_open(".", O_PATH | O_DIRECTORY);

        if (directory < 0)
                return fsrv_fail(s->error, FSRV_STAGE_DIRECTORY, -directory, "the working directory");
        all[FSRV_WIRE_FD_DIRECTORY] = directory;
        all[FSRV_WIRE_FD_ANSWER] = worker_end;
        all[FSRV_WIRE_FD_DOORBELL] = grip->link->doorbell;
        all[FSRV_WIRE_FD_LIFELINE] = grip->lifeline;
        return send_patiently(s, grip->link->doorbell, s->bytes, s->size, all, s->n_fds);
}

static int send_more_fds(struct spawning *s, int answer) {
        const int *fds = s->fds + FSRV_WIRE_OWN_FDS + 1;

        for (size_t sent = head_of(s)->n_fds_here; sent < s->n_user_fds;) {
                size_t n = s->n_user_fds - sent;
                if (n > FSRV_WIRE_FDS_MAX)
                        n = FSRV_WIRE_FDS_MAX;
                struct fsrv_wire_more more = { .n_fds = (uint32_t)n };
                int r = send_patiently(s, answer, &more, sizeof more, fds + sent, n);
                if (r == SERVER_GONE)
                        return 0; /* the other end has closed: what it said first is read next */
                if (r < 0)
                        return r;
                sent += n;
        }
        return 0;
}

/* ---- hearing of it ---- */

static int on_failed(const struct spawning *s, const struct fsrv_wire_failed *failed) {
        int err = failed->err > 0 ? failed->err : EPROTO;

        fsrv_fail_text(s->error, failed->stage, err, "%.*s", (int)sizeof failed->text - 1, failed->text);
        if (s->error)
                s->error->pid = failed->pid;
        return -err;
}

/* The pipe ends empty when execve(2) has succeeded, as it is close-on-exec. */
static int await_exec(struct spawning *s, int exec_pipe, int pidfd) {
        struct pollfd entry = { .fd = exec_pipe, .events = POLLIN };
        /* It has started: the caller's time-out must not hit a program that has just been executed. */
        int64_t deadline = fsrv_deadline(EXEC_TIMEOUT_MS);
        struct fsrv_wire_failed failed;
        ssize_t n;

        if (deadline < s->deadline)
                deadline = s->deadline;
        while (poll(&entry, 1, fsrv_left(deadline)) <= 0)
                if (fsrv_now() >= deadline) {
                        if (pidfd >= 0)
                                fsrv_pidfd_send_signal(pidfd, SIGKILL);
                        return fsrv_fail_text(s->error, FSRV_STAGE_EXEC, ETIMEDOUT, "executing '%s' took too long; killed it",
                                              s->request->name);
                }
        do
                n = read(exec_pipe, &failed, sizeof failed);
        while (n < 0 && errno == EINTR);
        return n == sizeof failed ? on_failed(s, &failed) : 0;
}

static int on_started(struct spawning *s, int answer, const struct fsrv_wire_started *started, struct fsrv_message *message,
                      struct fsrv_process **ret_process) {
        size_t n = 0;
        FSRV_CLEANUP_FD int own_answer = answer;
        FSRV_CLEANUP_FD int pidfd = -1;
        FSRV_CLEANUP_FD int exec_pipe = -1;

        if (started->fds & FSRV_WIRE_HAS_PIDFD && n < message->n_fds)
                pidfd = fsrv_fd_steal(&message->fds[n++]);
        if (started->fds & FSRV_WIRE_HAS_EXEC_PIPE && n < message->n_fds)
                exec_pipe = fsrv_fd_steal(&message->fds[n++]);
        fsrv_message_close(message);
        if (exec_pipe >= 0) {
                int r = await_exec(s, exec_pipe, pidfd);
                if (r < 0)
                        return r;
        }
        struct fsrv_process *process = fsrv_process_new(started->pid, fsrv_fd_steal(&own_answer), fsrv_fd_steal(&pidfd),
                                                        s->request->flags);
        if (!process)
                return fsrv_fail(s->error, FSRV_STAGE_SETUP, ENOMEM, "the handle of process %d", started->pid);
        *ret_process = process;
        return 0;
}

/* It has started, but the caller has no room for its fds: since the request was sent, which freed two numbers, other threads
 * have taken them. Not to leave a process that nobody knows of. */
static int on_lost_fds(const struct spawning *s, const union fsrv_wire_answer *reply, struct fsrv_message *message) {
        if (message->size == sizeof reply->started && reply->type == FSRV_WIRE_STARTED) {
                if (message->n_fds > 0)
                        fsrv_pidfd_send_signal(message->fds[0], SIGKILL);
                else
                        kill(reply->started.pid, SIGKILL); /* its parent has not told of its end: the pid is still its own */
        }
        fsrv_message_close(message);
        return fsrv_fail(s->error, FSRV_STAGE_SETUP, EMFILE, "the new process's pidfd; killed it");
}

/* Before giving up. Shut down first, then look: a worker that could not say STARTED doesn't run, one that could is here. Its
 * status has to come by way of the pidfd then, since the server cannot send either; so look once before. */
static int last_look(int answer, union fsrv_wire_answer *reply, struct fsrv_message *message) {
        int r = fsrv_channel_receive(answer, reply, sizeof *reply, MSG_DONTWAIT, message);

        if (r != -EAGAIN)
                return r;
        shutdown(answer, SHUT_RD);
        return fsrv_channel_receive(answer, reply, sizeof *reply, MSG_DONTWAIT, message);
}

/* Takes `answer` over. 0: started; NOTHING_RAN; or it failed. */
static int hear(struct spawning *s, int answer, struct fsrv_process **ret_process) {
        FSRV_CLEANUP_FD int own_answer = answer;
        union fsrv_wire_answer reply;
        struct fsrv_message message;

        int r = fsrv_channel_receive_by(answer, &reply, sizeof reply, s->deadline, &message);
        if (r == -ETIMEDOUT) {
                r = last_look(answer, &reply, &message);
                if (r != 1)
                        return fsrv_fail_text(s->error, FSRV_STAGE_QUEUE, ETIMEDOUT,
                                              "no process took the request in time: the zygote is still loading, or too much is asked of it");
        }
        if (r == 0)
                return NOTHING_RAN; /* a standby that was killed before it claimed, or the server and all with it */
        if (r == -EMFILE)
                return on_lost_fds(s, &reply, &message);
        if (r < 0)
                return fsrv_fail(s->error, FSRV_STAGE_SETUP, -r, "the new process's answer");
        if (message.size == sizeof reply.started && reply.type == FSRV_WIRE_STARTED)
                return on_started(s, fsrv_fd_steal(&own_answer), &reply.started, &message, ret_process);
        fsrv_message_close(&message);
        if (message.size == sizeof reply.failed && reply.type == FSRV_WIRE_FAILED)
                return on_failed(s, &reply.failed);
        if (message.size == sizeof reply.exited && reply.type == FSRV_WIRE_EXITED) {
                s->death = reply.exited;
                return NOTHING_RAN;
        }
        return fsrv_fail_text(s->error, FSRV_STAGE_SETUP, EPROTO, "an answer of %zu bytes", message.size);
}

static bool is_dead(int doorbell) {
        struct pollfd entry = { .fd = doorbell };

        return poll(&entry, 1, 0) == 1 && entry.revents & (POLLHUP | POLLERR);
}

static int exchange(struct spawning *s, const struct fsrv_grip *grip, struct fsrv_process **ret_process) {
        int pair[2];
        int r = fsrv_socketpair(pair);

        if (r < 0)
                return fsrv_fail(s->error, FSRV_STAGE_ARGUMENT, -r, "a socket for the answer");
        r = send_request(s, grip, pair[1]);
        fsrv_fd_close(pair[1]);
        if (r == 0)
                r = send_more_fds(s, pair[0]);
        if (r != 0) {
                fsrv_fd_close(pair[0]);
                return r;
        }
        r = hear(s, pair[0], ret_process);
        if (r == NOTHING_RAN && s->death.type == 0 && is_dead(grip->link->doorbell))
                return SERVER_GONE; /* and the request with it */
        return r;
}

/* ---- until it runs ---- */

static int give_up(const struct spawning *s) {
        const struct fsrv_wire_exited *death = &s->death;

        if (death->type == 0)
                return fsrv_fail_text(s->error, FSRV_STAGE_SETUP, ECONNABORTED,
                                      "the new process ended before it took the request, %d times in a row", TRIES);
        bool exited = death->code == CLD_EXITED;
        fsrv_fail_text(s->error, FSRV_STAGE_SETUP, ECONNABORTED,
                       "the new process %s %s%d before it ran anything, %d times in a row", exited ? "exited" : "was killed",
                       exited ? "with " : "by signal ", death->status, TRIES);
        if (s->error)
                s->error->pid = death->pid;
        return -ECONNABORTED;
}

static int try_once(struct fsrv_server *server, struct spawning *s, struct fsrv_process **ret_process) {
        struct fsrv_grip grip;
        int r = fsrv_server_acquire(server, &grip, s->error);

        if (r < 0)
                return r;
        if (!s->bytes)
                r = prepare(s, &grip);
        if (r == 0)
                r = exchange(s, &grip, ret_process);
        if (r == SERVER_GONE)
                fsrv_server_forget(server, grip.link);
        fsrv_server_release(&grip);
        return r;
}

int fsrv_spawn_with(struct fsrv_server *server, const struct fsrv_request *request, const int streams[3],
                    struct fsrv_process **ret_process, struct fsrv_error *error) {
        struct spawning s = {
                .request = request, .error = error, .deadline = fsrv_deadline(request->spawn_timeout_ms),
                .streams = streams, .memfd = -1
        };
        int gone = 0, lost = 0;

        int r = check(request, error);
        if (r < 0)
                return r;
        do
                r = try_once(server, &s, ret_process);
        while ((r == SERVER_GONE && ++gone < SERVER_TRIES) || (r == NOTHING_RAN && ++lost < TRIES));
        if (r == SERVER_GONE)
                r = fsrv_fail_text(error, FSRV_STAGE_START, ECONNRESET, "the fork server died, %d times in a row",
                                   SERVER_TRIES);
        if (r == NOTHING_RAN)
                r = give_up(&s);
        done(&s);
        return r;
}

int fsrv_spawn(struct fsrv_server *server, const struct fsrv_request *request, struct fsrv_process **ret_process,
               struct fsrv_error *error) {
        static const int none[3] = { -1, -1, -1 };

        return fsrv_spawn_with(server, request, none, ret_process, error);
}
