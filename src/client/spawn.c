/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "client/process.h"
#include "client/request.h"
#include "client/server.h"
#include "client/spawn.h"
#include "wire/channel.h"

enum {
        TRIES = 3,               /* of processes that die on their way: a fault in the setting-up shows */
        EXEC_TIMEOUT_MS = 10000, /* at least, for execve(2) alone: as on a network file system that hangs */
        SERVER_TRIES = 10,       /* of servers that are killed under us */
        DYING_MS = 500,          /* from the first death of a server's standbys to the last, at most */
        WINDOW = 16,             /* requests of one call that are on their way at a time */
        MANY_MAX = 65536,
};

/* Positive: the spawn did not happen for a reason that lies not in the request. */
enum {
        SERVER_GONE = 1,
        NOTHING_RAN = 2,
};

/* ---- sending it ---- */

static int name_bad_fd(const struct fsrv_spawning *s) {
        for (size_t i = 0; i < s->n_user_fds; i++)
                if (fsrv_fd_is_open(s->user_fds[i]) != 1)
                        return fsrv_fail_text(s->error, FSRV_STAGE_FDS, EBADF, "fd %d of the caller is not open",
                                              s->user_fds[i]);
        return fsrv_fail(s->error, FSRV_STAGE_FDS, EBADF, "an fd of the caller");
}

/* Waits for room: 0 if it is worth another try. Where many fds are in flight (ETOOMANYREFS counts all that this uid
 * has, unix(7)) or memory is short there is nothing to poll. */
static int wait_for_room(const struct fsrv_spawning *s, int sock, int err) {
        if (fsrv_now() >= s->deadline)
                return fsrv_fail_text(s->error, FSRV_STAGE_QUEUE, err == -EAGAIN ? ETIMEDOUT : -err,
                                      "the fork server's queue is full: %s",
                                      strerrordesc_np(err == -EAGAIN ? ETIMEDOUT : -err));
        struct pollfd entry = { .fd = sock, .events = POLLOUT };
        int r = err == -EAGAIN ? fsrv_poll(&entry, s->deadline, s->interrupt)
                               : fsrv_poll(NULL, fsrv_deadline(2), s->interrupt);
        return r == -EINTR ? fsrv_interrupted(s->error, FSRV_STAGE_QUEUE) : 0;
}

static int send_patiently(const struct fsrv_spawning *s, int sock, const void *bytes, size_t size, const int *fds,
                          size_t n_fds) {
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

/* One that may not be searched can be had by the way that doesn't look into it. */
static int open_directory(void) {
        int fd = fsrv_open(".", O_PATH | O_DIRECTORY);

        return fd == -EACCES ? fsrv_open("/proc/self/cwd", O_PATH | O_DIRECTORY) : fd;
}

static int send_request(struct fsrv_spawning *s, const struct fsrv_grip *grip, int worker_end, int status_end) {
        FSRV_CLEANUP_FD int directory = open_directory();

        if (directory < 0)
                return fsrv_fail(s->error, FSRV_STAGE_DIRECTORY, -directory, "the working directory");
        s->fds[FSRV_WIRE_FD_ANSWER] = worker_end;
        s->fds[FSRV_WIRE_FD_DOORBELL] = grip->link->doorbell;
        s->fds[FSRV_WIRE_FD_LIFELINE] = grip->lifeline;
        s->fds[FSRV_WIRE_FD_DIRECTORY] = directory;
        if (status_end >= 0)
                s->fds[FSRV_WIRE_OWN_FDS] = status_end;
        return send_patiently(s, grip->link->doorbell, s->bytes, s->size, s->fds, s->n_fds);
}

static int send_more_fds(struct fsrv_spawning *s, int answer) {
        for (size_t sent = fsrv_spawning_head(s)->n_fds_here; sent < s->n_user_fds;) {
                size_t n = s->n_user_fds - sent;
                if (n > FSRV_WIRE_FDS_MAX)
                        n = FSRV_WIRE_FDS_MAX;
                struct fsrv_wire_more more = { .n_fds = (uint32_t)n };
                int r = send_patiently(s, answer, &more, sizeof more, s->user_fds + sent, n);
                if (r == SERVER_GONE)
                        return 0; /* the other end has closed: what it said first is read next */
                if (r < 0)
                        return r;
                sent += n;
        }
        return 0;
}

/* ---- hearing of it ---- */

static int on_failed(const struct fsrv_spawning *s, const struct fsrv_wire_failed *failed) {
        int err = failed->err > 0 ? failed->err : EPROTO;

        fsrv_fail_text(s->error, failed->stage, err, "%.*s", (int)sizeof failed->text - 1, failed->text);
        if (s->error)
                s->error->pid = failed->pid;
        return -err;
}

/* The pipe ends empty when execve(2) has succeeded, as it is close-on-exec. */
static int await_exec(struct fsrv_spawning *s, int exec_pipe, int pidfd) {
        struct pollfd entry = { .fd = exec_pipe, .events = POLLIN };
        /* It has started: the caller's time-out must not hit a program that has just been executed. */
        int64_t deadline = fsrv_deadline(EXEC_TIMEOUT_MS);
        struct fsrv_wire_failed failed;
        ssize_t n;

        if (deadline < s->deadline)
                deadline = s->deadline;
        int r = fsrv_poll(&entry, deadline, s->interrupt);
        if (r <= 0 && pidfd >= 0)
                fsrv_pidfd_send_signal(pidfd, SIGKILL);
        if (r == -EINTR)
                return fsrv_interrupted(s->error, FSRV_STAGE_EXEC);
        if (r <= 0)
                return fsrv_fail_text(s->error, FSRV_STAGE_EXEC, ETIMEDOUT, "executing '%s' took too long; killed it",
                                      s->request->name);
        do
                n = read(exec_pipe, &failed, sizeof failed);
        while (n < 0 && errno == EINTR);
        return n == sizeof failed ? on_failed(s, &failed) : 0;
}

static int on_started(struct fsrv_spawning *s, int answer, const struct fsrv_wire_started *started,
                      struct fsrv_message *message, struct fsrv_process **ret_process) {
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
        struct fsrv_process *process =
                fsrv_process_new(started->pid, fsrv_fd_steal(&own_answer), fsrv_fd_steal(&pidfd), s->request->flags);
        if (!process)
                return fsrv_fail(s->error, FSRV_STAGE_SETUP, ENOMEM, "the handle of process %d", started->pid);
        *ret_process = process;
        return 0;
}

/* It has started, but the caller has no room for its fds: since the request was sent, which freed two numbers, other
 * threads have taken them. Not to leave a process that nobody knows of. */
static int on_lost_fds(const struct fsrv_spawning *s, int answer, const union fsrv_wire_answer *reply,
                       struct fsrv_message *message) {
        struct pollfd next = { .fd = answer, .events = POLLIN };

        if (message->size == sizeof reply->started && reply->type == FSRV_WIRE_STARTED) {
                if (message->n_fds > 0)
                        fsrv_pidfd_send_signal(message->fds[0], SIGKILL);
                else if (reply->started.pid > 0 && poll(&next, 1, 0) == 0)
                        kill(reply->started.pid, SIGKILL); /* its parent has told of no end: the pid is still its own */
        }
        fsrv_message_close(message);
        return fsrv_fail(s->error, FSRV_STAGE_SETUP, EMFILE, "the new process's pidfd; killed it");
}

/* What comes before STARTED and ends nothing: a stop is of the setting-up, and no concern of the caller's. */
static bool is_by_the_way(struct fsrv_spawning *s, const union fsrv_wire_answer *reply,
                          const struct fsrv_message *message) {
        if (message->size == sizeof reply->word && reply->type == FSRV_WIRE_LOADS)
                return s->loads = true;
        return message->size == sizeof reply->changed &&
               (reply->type == FSRV_WIRE_STOPPED || reply->type == FSRV_WIRE_CONTINUED);
}

static int receive_now(struct fsrv_spawning *s, int answer, union fsrv_wire_answer *reply,
                       struct fsrv_message *message) {
        for (;;) {
                int r = fsrv_channel_receive(answer, reply, sizeof *reply, MSG_DONTWAIT, message);
                if (r != 1 || !is_by_the_way(s, reply, message))
                        return r;
                fsrv_message_close(message);
        }
}

static int receive_answer(struct fsrv_spawning *s, int answer, union fsrv_wire_answer *reply,
                          struct fsrv_message *message) {
        for (;;) {
                struct pollfd entry = { .fd = answer, .events = POLLIN };
                int r = fsrv_poll(&entry, s->deadline, s->interrupt);

                if (r <= 0)
                        return r < 0 ? r : -ETIMEDOUT;
                r = receive_now(s, answer, reply, message);
                if (r != -EAGAIN)
                        return r;
        }
}

/* On a socket that is shut EXITED cannot come either, unless it has, a moment ago: the server, which fails to send it,
 * finds another socket there. (Where there are no fds for that, the pidfd may know the status.) */
static void replace_answer(int *answer) {
        const struct fsrv_wire_more more = { .n_fds = 1 };
        char byte;
        int pair[2];

        if (recv(*answer, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) > 0 || fsrv_socketpair(pair) < 0)
                return;
        if (fsrv_channel_send(*answer, &more, sizeof more, &pair[1], 1, MSG_DONTWAIT) == 0) {
                int old = *answer;
                *answer = pair[0];
                pair[0] = old;
        }
        fsrv_fds_close(pair, 2);
}

/* Before giving up. Shut down first, then look: a worker that could not say STARTED doesn't run, one that could is
 * here. */
static int last_look(struct fsrv_spawning *s, int *answer, union fsrv_wire_answer *reply,
                     struct fsrv_message *message) {
        int r = receive_now(s, *answer, reply, message);

        if (r != -EAGAIN)
                return r;
        shutdown(*answer, SHUT_RD);
        r = receive_now(s, *answer, reply, message);
        if (r == 1 && reply->type == FSRV_WIRE_STARTED)
                replace_answer(answer);
        return r;
}

/* Until everybody has closed the other end, the server as the last, or the deadline: no message wakes poll(2) for
 * nothing but a hang-up. What has been said is in the queue then, the start first. */
static void await_hang_up(int answer, int64_t deadline) {
        struct pollfd entry = { .fd = answer };

        fsrv_poll(&entry, deadline, NULL);
}

/* Nobody runs it any more. Or, 1, somebody does: what last_look() found. */
static int withdraw(struct fsrv_spawning *s, int why, int *answer, union fsrv_wire_answer *reply,
                    struct fsrv_message *message) {
        int r = last_look(s, answer, reply, message);

        if (r == 1)
                return 1;
        if (why == -EINTR)
                return fsrv_interrupted(s->error, FSRV_STAGE_QUEUE);
        if (s->loads)
                return fsrv_stillborn_slow(s);
        return fsrv_fail_text(s->error, FSRV_STAGE_QUEUE, ETIMEDOUT,
                              "no process took the request in time: the zygote is still loading, or too much is asked "
                              "of it");
}

/* Takes `answer` over. 0: started; NOTHING_RAN; or it failed. */
static int hear(struct fsrv_spawning *s, int answer, struct fsrv_process **ret_process) {
        FSRV_CLEANUP_FD int own_answer = answer;
        union fsrv_wire_answer reply;
        struct fsrv_message message;

        if (s->extra->until_ended)
                await_hang_up(own_answer, s->deadline);
        int r = receive_answer(s, own_answer, &reply, &message);
        if (r == -ETIMEDOUT || r == -EINTR) {
                r = withdraw(s, r, &own_answer, &reply, &message);
                if (r < 0)
                        return r;
        }
        if (r == 0) /* a standby that was killed before it claimed, or the server and all with it */
                return s->loads ? fsrv_stillborn_loading(s) : NOTHING_RAN;
        if (r == -EMFILE)
                return on_lost_fds(s, own_answer, &reply, &message);
        if (r < 0)
                return fsrv_fail(s->error, FSRV_STAGE_SETUP, -r, "the new process's answer");
        if (message.size == sizeof reply.started && reply.type == FSRV_WIRE_STARTED)
                return on_started(s, fsrv_fd_steal(&own_answer), &reply.started, &message, ret_process);
        fsrv_message_close(&message);
        if (message.size == sizeof reply.word && reply.type == FSRV_WIRE_READY && s->request->kind == FSRV_WIRE_PROBE)
                return 0;
        if (message.size == sizeof reply.failed && reply.type == FSRV_WIRE_FAILED)
                return on_failed(s, &reply.failed);
        if (message.size == sizeof reply.exited && reply.type == FSRV_WIRE_EXITED) {
                s->death = reply.exited;
                return s->loads ? fsrv_stillborn_loading(s) : NOTHING_RAN;
        }
        return fsrv_fail_text(s->error, FSRV_STAGE_SETUP, EPROTO, "an answer of %zu bytes", message.size);
}

static bool is_dead(const struct fsrv_spawning *s, int doorbell, int patience_ms) {
        struct pollfd entry = { .fd = doorbell };
        int64_t deadline = fsrv_deadline(patience_ms);

        return poll(&entry, 1, fsrv_left(deadline < s->deadline ? deadline : s->deadline)) == 1 &&
               entry.revents & (POLLHUP | POLLERR);
}

/* Puts the request on the doorbell; *ret_answer, on which hear() hears of it, is the caller's on success. */
static int ask(struct fsrv_spawning *s, const struct fsrv_grip *grip, int status_end, int *ret_answer) {
        int pair[2];
        int r = fsrv_socketpair(pair);

        if (r < 0)
                return fsrv_fail(s->error, FSRV_STAGE_ARGUMENT, -r, "a socket for the answer");
        r = send_request(s, grip, pair[1], status_end);
        fsrv_fd_close(pair[1]);
        if (r == 0)
                r = send_more_fds(s, pair[0]);
        if (r != 0) {
                fsrv_fd_close(pair[0]);
                return r;
        }
        *ret_answer = pair[0];
        return 0;
}

static int hear_from(struct fsrv_spawning *s, const struct fsrv_grip *grip, int answer,
                     struct fsrv_process **ret_process) {
        s->death.type = 0;
        s->loads = false;
        int r = hear(s, answer, ret_process);

        /* And the request with it. Each of the standbys that die with their server may take one on its way out: when it
         * happens again, the doorbell gets the time to die with the last of them. */
        if (r == NOTHING_RAN && s->death.type == 0 && is_dead(s, grip->link->doorbell, s->in_vain++ ? DYING_MS : 0))
                return SERVER_GONE;
        return r;
}

/* A status pair of its own for each try: the words of a process that ran nothing must not show. */
static int exchange(struct fsrv_spawning *s, const struct fsrv_grip *grip, struct fsrv_process **ret_process,
                    int *ret_status) {
        int answer = -1, status[2] = { -1, -1 };
        int r = s->extra->wants_status ? fsrv_streampair(status) : 0;

        if (r < 0)
                return fsrv_fail(s->error, FSRV_STAGE_ARGUMENT, -r, "a socket for the status");
        r = ask(s, grip, status[1], &answer);
        fsrv_fd_close(status[1]);
        if (r == 0)
                r = hear_from(s, grip, answer, ret_process);
        if (r == 0 && ret_status)
                *ret_status = fsrv_fd_steal(&status[0]);
        fsrv_fd_close(status[0]);
        return r;
}

/* ---- until it runs ---- */

static int try_once(struct fsrv_server *server, struct fsrv_spawning *s, struct fsrv_process **ret_process,
                    int *ret_status) {
        struct fsrv_grip grip;
        int r = fsrv_server_acquire(server, s->deadline, &grip, s->error);

        if (r < 0)
                return r;
        if (!s->bytes)
                r = fsrv_spawning_prepare(s, &grip);
        if (r == 0)
                r = exchange(s, &grip, ret_process, ret_status);
        if (r == SERVER_GONE)
                fsrv_server_forget(server, grip.link);
        fsrv_server_release(&grip);
        return r;
}

static int try_often(struct fsrv_server *server, struct fsrv_spawning *s, struct fsrv_process **ret_process,
                     int *ret_status) {
        int gone = 0, lost = 0, r;

        do {
                r = try_once(server, s, ret_process, ret_status);
                if (r == SERVER_GONE)
                        lost = 0; /* a new server, new luck */
        } while ((r == SERVER_GONE && ++gone < SERVER_TRIES) || (r == NOTHING_RAN && ++lost < TRIES));
        if (r == SERVER_GONE)
                return fsrv_fail_text(s->error, FSRV_STAGE_START, ECONNRESET, "the fork server died, %d times in a row",
                                      SERVER_TRIES);
        return r == NOTHING_RAN ? fsrv_stillborn_vain(s, TRIES) : r;
}

static int check(const struct fsrv_request *request, struct fsrv_error *error) {
        if (!request->kind)
                return fsrv_fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                      "the request names neither an entry point nor a program");
        if (request->new_session && request->has_group)
                return fsrv_fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                      "a new session is a new process group too: the request cannot set both");
        return 0;
}

int fsrv_spawn_with(struct fsrv_server *server, const struct fsrv_request *request,
                    const struct fsrv_spawn_extra *extra, struct fsrv_process **ret_process, int *ret_status,
                    struct fsrv_error *error) {
        struct fsrv_spawning s = { .request = request,
                                   .extra = extra,
                                   .error = error,
                                   .deadline = fsrv_deadline(request->spawn_timeout_ms),
                                   .interrupt = extra->until_ended ? NULL : &server->interrupt,
                                   .memfd = -1 };

        int r = check(request, error);
        if (r < 0)
                return r;
        r = try_often(server, &s, ret_process, ret_status);
        fsrv_spawning_done(&s);
        return r;
}

int fsrv_spawn(struct fsrv_server *server, const struct fsrv_request *request, struct fsrv_process **ret_process,
               struct fsrv_error *error) {
        static const struct fsrv_spawn_extra none = FSRV_SPAWN_EXTRA_NONE;

        return fsrv_spawn_with(server, request, &none, ret_process, NULL, error);
}

int fsrv_run(struct fsrv_server *server, const struct fsrv_request *request, struct fsrv_status *ret_status,
             struct fsrv_error *error) {
        static const struct fsrv_spawn_extra to_its_end = { { -1, -1, -1 }, -1, false, true };
        struct fsrv_process *process;

        if (ret_status && ret_status->size != sizeof *ret_status)
                return fsrv_fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "the size of struct fsrv_status");
        int r = fsrv_spawn_with(server, request, &to_its_end, &process, NULL, error);
        if (r < 0)
                return r;
        r = fsrv_process_wait(process, -1, ret_status, error);
        fsrv_process_unref(process);
        return r;
}

int fsrv_server_wait_ready(struct fsrv_server *server, int timeout_ms, struct fsrv_error *error) {
        char name[] = "whether it is ready";
        struct fsrv_request probe = {
                .kind = FSRV_WIRE_PROBE, .name = name, .umask = 0, .has_ignored = true, .spawn_timeout_ms = timeout_ms
        };
        struct fsrv_process *none;

        return fsrv_spawn(server, &probe, &none, error);
}

/* ---- many at once ---- */

/* Hears of the oldest one; what a death on the way spoiled is tried again, alone. */
static int settle(struct fsrv_server *server, struct fsrv_spawning *s, struct fsrv_grip *grip, int answer,
                  struct fsrv_process **ret_process) {
        s->deadline = fsrv_deadline(s->request->spawn_timeout_ms);
        int r = answer < 0 ? NOTHING_RAN : hear_from(s, grip, answer, ret_process);
        if (r <= 0)
                return r;
        if (r == SERVER_GONE)
                fsrv_server_forget(server, grip->link);
        r = try_often(server, s, ret_process, NULL);
        struct fsrv_grip fresh;
        if (fsrv_server_acquire(server, s->deadline, &fresh, NULL) == 0) {
                fsrv_server_release(grip);
                *grip = fresh;
        } /* else with the old one: what cannot be asked for by it is tried alone */
        return r;
}

/* Of n equal requests so many are on their way at a time. The number of processes; *ret_error: the first failure. */
static size_t spawn_window(struct fsrv_server *server, struct fsrv_spawning *s, struct fsrv_grip *grip, size_t n,
                           struct fsrv_process **ret_processes, int *ret_error) {
        int answers[WINDOW] = { 0 }, r = 0;
        size_t asked = 0, heard = 0, made = 0;
        struct fsrv_error *error = s->error, ignored = { 0 };

        while (heard < asked || (r == 0 && asked < n)) {
                s->error = &ignored; /* one that cannot be asked for now is tried alone, when it is its turn */
                while (r == 0 && asked < n && asked - heard < WINDOW && ask(s, grip, -1, &answers[asked % WINDOW]) == 0)
                        asked++;
                if (heard == asked)
                        answers[asked++ % WINDOW] = -1;
                s->error = r == 0 ? error : &ignored;
                int one = settle(server, s, grip, answers[heard++ % WINDOW], &ret_processes[made]);
                if (one == 0)
                        made++;
                else if (r == 0)
                        r = one;
        }
        *ret_error = r;
        return made;
}

int fsrv_spawn_many(struct fsrv_server *server, const struct fsrv_request *request, size_t n,
                    struct fsrv_process **ret_processes, struct fsrv_error *error) {
        static const struct fsrv_spawn_extra none = FSRV_SPAWN_EXTRA_NONE;
        struct fsrv_error told;
        struct fsrv_spawning s = { .request = request,
                                   .extra = &none,
                                   .error = &told,
                                   .deadline = fsrv_deadline(request->spawn_timeout_ms),
                                   .interrupt = &server->interrupt,
                                   .memfd = -1 };
        struct fsrv_grip grip;
        size_t made = 0;

        if (n == 0 || n > MANY_MAX)
                return fsrv_fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "%zu processes, where 1 to %d can be had", n,
                                      MANY_MAX);
        int r = check(request, &told);
        if (r == 0)
                r = fsrv_server_acquire(server, s.deadline, &grip, &told);
        if (r == 0) {
                r = fsrv_spawning_prepare(&s, &grip);
                if (r == 0)
                        made = spawn_window(server, &s, &grip, n, ret_processes, &r);
                fsrv_server_release(&grip);
        }
        fsrv_spawning_done(&s);
        if (r < 0 && error)
                *error = told;
        return r < 0 && made == 0 ? r : (int)made;
}
