/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "client/process.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descendants.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "base/probe.h"
#include "wire/messages.h"

enum { REAP_LIMIT_MS = 2000 }; /* after a death, for the process that inherited this one to reap it */

enum state {
        LISTENING, /* to the server, on the answer socket */
        WATCHING,  /* the server is gone: the pidfd tells the end, and may know the status */
        ENDED,     /* status is true */
        LOST,
};

struct fsrv_process {
        atomic_int references;
        pid_t pid;
        pid_t owner; /* the process that has the handle; a forked child's copy ends nothing */
        uint32_t flags;
        int answer;
        int pidfd;
        pthread_mutex_t lock; /* for all below; never held while waiting */
        enum state state;
        int poll_fd; /* an epoll that holds the fd which the state waits for; -1 until asked for */
        int64_t death_seen;
        uint32_t change; /* FSRV_STATUS_STOPPED or …_CONTINUED, which no wait has returned yet; else 0 */
        int stop_signal;
        struct fsrv_status status;
        int result; /* a socket; -1: none is wanted, or it was taken */
};

struct fsrv_process *fsrv__process_new(pid_t pid, int answer, int pidfd, int result, uint32_t flags) {
        struct fsrv_process *p = calloc(1, sizeof *p);

        if (!p) {
                fsrv__fd_close(answer);
                fsrv__fd_close(pidfd);
                fsrv__fd_close(result);
                return NULL;
        }
        atomic_init(&p->references, 1);
        pthread_mutex_init(&p->lock, NULL);
        p->pid = pid;
        p->owner = getpid();
        p->flags = flags;
        p->answer = answer;
        p->pidfd = pidfd;
        p->result = result;
        p->poll_fd = -1;
        return p;
}

struct fsrv_process *fsrv_process_ref(struct fsrv_process *p) {
        atomic_fetch_add(&p->references, 1);
        return p;
}

/* Signals the group that the process leads, or the process alone if it leads none. Before Linux 6.9 this goes by the
 * group's number, which is safe until the process is reaped. The number is looked up, as the server's pid namespace may
 * be another than ours. */
static int signal_group(const struct fsrv_process *p, int signal) {
        int r = fsrv__pidfd_signal_group(p->pidfd, signal);
        pid_t number = r == -EINVAL ? fsrv__pidfd_number(p->pidfd) : 0;

        if (number > 0 && getpgid(number) == number)
                r = kill(-number, signal) < 0 ? -errno : 0;
        return r == -EINVAL || r == -ESRCH ? fsrv__pidfd_send_signal(p->pidfd, signal) : r;
}

pid_t fsrv_process_get_pid(const struct fsrv_process *p) {
        return p->pid;
}

int fsrv_process_get_pidfd(const struct fsrv_process *p) {
        return p->pidfd < 0 ? -ENOSYS : p->pidfd;
}

static bool is_over(struct fsrv_process *p) {
        pthread_mutex_lock(&p->lock);
        bool over = p->state >= ENDED;
        pthread_mutex_unlock(&p->lock);
        return over;
}

/* A pidfd never means a process that came later. A zombie takes a signal in silence. */
int fsrv_process_kill(struct fsrv_process *p, int signal) {
        if (is_over(p))
                return -ESRCH;
        return p->pidfd < 0 ? -ENOSYS : fsrv__pidfd_send_signal(p->pidfd, signal);
}

int fsrv_process_kill_group(struct fsrv_process *p, int signal) {
        if (is_over(p))
                return -ESRCH;
        return p->pidfd < 0 ? -ENOSYS : signal_group(p, signal);
}

/* ---- one fd for event loops ---- */

static int awaited_fd(const struct fsrv_process *p) {
        return p->state == WATCHING ? p->pidfd
                                    : p->answer; /* after the end this is the answer's end of file, readable for ever */
}

static int put_into_poll_fd(const struct fsrv_process *p) {
        struct epoll_event event = { .events = EPOLLIN };

        return epoll_ctl(p->poll_fd, EPOLL_CTL_ADD, awaited_fd(p), &event) < 0 ? -errno : 0;
}

int fsrv_process_get_poll_fd(struct fsrv_process *p) {
        int r = 0;

        pthread_mutex_lock(&p->lock);
        if (p->poll_fd < 0) {
                p->poll_fd = fsrv__fd_raise(epoll_create1(EPOLL_CLOEXEC));
                r = p->poll_fd < 0 ? -errno : put_into_poll_fd(p);
                if (r < 0)
                        p->poll_fd = fsrv__fd_close(p->poll_fd);
        }
        if (r == 0)
                r = p->poll_fd;
        pthread_mutex_unlock(&p->lock);
        return r;
}

/* ---- the end ---- */

static void note_end(struct fsrv_process *p, const struct fsrv__exit *exit, const struct rusage *rusage,
                     uint32_t flags) {
        p->status = (struct fsrv_status){ .size = sizeof p->status, .pid = p->pid, .exit_code = -1, .flags = flags };
        if (exit->code == CLD_EXITED)
                p->status.exit_code = exit->status;
        else
                p->status.signal = exit->status;
        if (exit->code == CLD_DUMPED)
                p->status.flags |= FSRV_STATUS_CORE_DUMPED;
        if (rusage)
                p->status.rusage = *rusage;
        p->state = ENDED;
}

static bool hear_of_change(struct fsrv_process *p, const struct fsrv__wire_changed *changed) {
        if (changed->type != FSRV_WIRE_STOPPED && changed->type != FSRV_WIRE_CONTINUED)
                return false;
        p->change = changed->type == FSRV_WIRE_STOPPED ? FSRV_STATUS_STOPPED : FSRV_STATUS_CONTINUED;
        p->stop_signal = changed->type == FSRV_WIRE_STOPPED ? changed->signal : 0;
        return true;
}

static void listen_once(struct fsrv_process *p) {
        union fsrv__wire_answer answer;
        struct fsrv__message message;
        int r = fsrv__channel_receive(p->answer, &answer, sizeof answer, MSG_DONTWAIT, &message);

        if (r == -EAGAIN)
                return;
        if (r == 1 || r == -EMFILE)
                fsrv__message_close(&message); /* nothing that is awaited here brings an fd */
        bool is_answer = r == 1 && fsrv__message_check(FSRV_TABLE_ANSWER, &answer, message.size) == 0;
        if (is_answer && answer.type == FSRV_WIRE_EXITED) {
                const struct fsrv__wire_exited *exited = &answer.exited;
                struct fsrv__exit exit = { .pid = exited->pid, .code = exited->code, .status = exited->status };
                FSRV_PROBE(spawn_ended, exit.pid, exit.status);
                note_end(p, &exit, &exited->rusage, exited->timed_out ? FSRV_STATUS_TIMED_OUT : 0);
                p->status.flags |= exited->was_refused ? FSRV_STATUS_REFUSED : 0;
                p->status.refused = exited->refused;
                p->status.refused_call = exited->refused_call;
                return;
        }
        if (is_answer && hear_of_change(p, &answer.changed))
                return;
        /* The server died. The process may go on. */
        if (p->poll_fd >= 0)
                epoll_ctl(p->poll_fd, EPOLL_CTL_DEL, p->answer, NULL);
        p->state = p->pidfd < 0 ? LOST : WATCHING;
        if (p->poll_fd >= 0)
                put_into_poll_fd(p);
}

/* If this process inherits orphans, the zombie is its child: we look at the status, and leave the reaping to the
 * caller. */
static int look_at_own_zombie(int pidfd, struct fsrv__exit *ret_exit) {
        siginfo_t info = { 0 };

        if (waitid((idtype_t)3 /* P_PIDFD */, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
                return -errno;
        if (info.si_pid == 0)
                return -EAGAIN;
        *ret_exit = (struct fsrv__exit){ .pid = info.si_pid, .code = info.si_code, .status = info.si_status };
        return 0;
}

/* After the pidfd said that it has ended. */
static void watch_once(struct fsrv_process *p) {
        struct pollfd entry = { .fd = p->pidfd, .events = POLLIN };
        struct fsrv__exit exit = { 0 };

        if (poll(&entry, 1, 0) <= 0)
                return;
        int r = look_at_own_zombie(p->pidfd, &exit);
        if (r < 0)
                r = fsrv__pidfd_exit_status(p->pidfd, &exit);
        if (r == 0) {
                note_end(p, &exit, NULL, FSRV_STATUS_NO_RUSAGE);
                return;
        }
        if (p->death_seen == 0)
                p->death_seen = fsrv__now();
        if (r != -EAGAIN || fsrv__now() - p->death_seen > REAP_LIMIT_MS)
                p->state = LOST;
}

static void take_step(struct fsrv_process *p) {
        if (p->state == LISTENING)
                listen_once(p);
        if (p->state == WATCHING)
                watch_once(p);
}

/* The server does the same when it sees the socket close, but it may be gone. If the process has ended, what it left
 * behind is left alone, even if its status was never asked for. */
static void kill_family(struct fsrv_process *p) {
        do {
                p->change = 0;
                take_step(p);
        } while (p->change);
        if (p->state >= ENDED || p->pidfd < 0)
                return;
        pid_t number = fsrv__pidfd_number(p->pidfd);
        if (number > 0 && getpgid(number) != number)
                fsrv__descendants_signal(number, p->pidfd, SIGKILL);
        else
                signal_group(p, SIGKILL);
}

struct fsrv_process *fsrv_process_unref(struct fsrv_process *p) {
        if (!p || atomic_fetch_sub(&p->references, 1) != 1)
                return NULL;
        if (p->flags & FSRV_SPAWN_KILL_ON_CLOSE && p->owner == getpid())
                kill_family(p);
        fsrv__fd_close(p->poll_fd);
        fsrv__fd_close(p->answer);
        fsrv__fd_close(p->pidfd);
        fsrv__fd_close(p->result);
        pthread_mutex_destroy(&p->lock);
        free(p);
        return NULL;
}

struct fsrv_process *fsrv__process_end(struct fsrv_process *p) {
        p->flags |= FSRV_SPAWN_KILL_ON_CLOSE;
        return fsrv_process_unref(p);
}

int fsrv__process_awaited_fd(struct fsrv_process *p, int64_t *ret_until) {
        pthread_mutex_lock(&p->lock);
        int fd = p->death_seen ? -1 : awaited_fd(p);
        if (p->death_seen)
                *ret_until = fsrv__deadline(1); /* a zombie's pidfd is readable, and it is not reaped yet */
        pthread_mutex_unlock(&p->lock);
        return fd;
}

int fsrv__process_take_result(struct fsrv_process *p, struct fsrv_status *ret_status, int *ret_sock) {
        int r = -EBUSY;

        pthread_mutex_lock(&p->lock);
        take_step(p);
        if (p->state == ENDED) {
                *ret_status = p->status;
                *ret_sock = fsrv__fd_steal(&p->result);
                r = 0;
        } else if (p->state == LOST) {
                r = -EOWNERDEAD;
        }
        pthread_mutex_unlock(&p->lock);
        return r;
}

bool fsrv__process_has_file(const struct fsrv_process *p) {
        return p->flags & FSRV_SPAWN_FILE;
}

/* Waits until something may have changed, or until the deadline. The pidfd of a zombie is readable already, so this
 * does not spin on it. */
static void wait_for_change(int fd, bool dead, int64_t deadline) {
        struct pollfd entry = { .fd = fd, .events = POLLIN };

        if (dead)
                poll(NULL, 0, 1);
        else
                poll(&entry, 1, fsrv__left(deadline));
}

/* The change is told once. */
static bool take_change(struct fsrv_process *p, struct fsrv_status *ret_status) {
        if (!p->change)
                return false;
        if (ret_status)
                *ret_status = (struct fsrv_status){ .size = sizeof *ret_status,
                                                    .pid = p->pid,
                                                    .exit_code = -1,
                                                    .signal = p->stop_signal,
                                                    .flags = p->change };
        p->change = 0;
        return true;
}

int fsrv_process_wait(struct fsrv_process *p, int timeout_ms, struct fsrv_status *ret_status,
                      struct fsrv_error *error) {
        int64_t deadline = fsrv__deadline(timeout_ms);

        if (ret_status && ret_status->size != sizeof *ret_status)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "the size of struct fsrv_status");
        for (;;) {
                pthread_mutex_lock(&p->lock);
                take_step(p);
                enum state state = p->state;
                int fd = awaited_fd(p);
                bool dead = p->death_seen != 0, has_changed = take_change(p, ret_status);
                if (state == ENDED && ret_status)
                        *ret_status = p->status;
                pthread_mutex_unlock(&p->lock);
                if (has_changed)
                        return 1;
                if (state == ENDED)
                        return 0;
                if (state == LOST)
                        return fsrv__fail_text(
                                error, FSRV_STAGE_STATUS, EOWNERDEAD,
                                "status lost: process %d has ended, and the fork server could not tell how",
                                (int)p->pid);
                if (timeout_ms == 0 || fsrv__now() >= deadline)
                        return fsrv__fail_text(error, FSRV_STAGE_STATUS, ETIMEDOUT, "process %d is still alive",
                                               (int)p->pid);
                wait_for_change(fd, dead, deadline);
        }
}
