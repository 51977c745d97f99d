/* SPDX-License-Identifier: MIT */
/*
 * The server: what standbys claim, zygotes report, and peers and doorbells send it, in any order, with children
 * that end in between. An input is a list of steps: a number, and for most of them a message and how many fds come with
 * it. No process is started, signalled or waited for.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "forkserver.h"
#include "server/server.h"
#include "wire/messages.h"

enum {
        ZYGOTE = 1 << 22, /* no process has such a pid */
        STEPS_MAX = 64
};

/* ---- instead of processes ---- */

static uint8_t deaths; /* what the next children that are asked for do */

int __wrap_fsrv__pidfd_open(pid_t pid);
int __wrap_fsrv__pidfd_open(pid_t pid) {
        return pid > 0 ? eventfd(0, EFD_CLOEXEC) : -EINVAL; /* as the kernel: a message may name no process */
}

int __wrap_fsrv__pidfd_send_signal(int pidfd, int number);
int __wrap_fsrv__pidfd_send_signal(int pidfd, int number) {
        (void)number;
        return fsrv__fd_is_open(pidfd) == 1 ? 0 : -EBADF;
}

int __wrap_fsrv__pidfd_signal_group(int pidfd, int number);
int __wrap_fsrv__pidfd_signal_group(int pidfd, int number) {
        (void)number;
        return fsrv__fd_is_open(pidfd) == 1 ? 0 : -EBADF;
}

int __wrap_fsrv__reap_pidfd(int pidfd, struct fsrv__exit *ret_exit, struct rusage *ret_rusage);
int __wrap_fsrv__reap_pidfd(int pidfd, struct fsrv__exit *ret_exit, struct rusage *ret_rusage) {
        FSRV_FUZZ_CHECK(fsrv__fd_is_open(pidfd) == 1);
        memset(ret_rusage, 0, sizeof *ret_rusage);
        *ret_exit = (struct fsrv__exit){ .code = deaths & 4 ? CLD_KILLED : CLD_EXITED,
                                         .status = deaths & 8 ? SIGKILL : deaths % 64 };
        return deaths % 3 == 2 ? -ECHILD : deaths % 3;
}

int __wrap_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number) {
        (void)number;
        FSRV_FUZZ_CHECK(pid != 0 && pid != -1);
        return 0;
}

void __wrap_fsrv__log(const struct fsrv__server *s, enum fsrv__level level, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
void __wrap_fsrv__log(const struct fsrv__server *s, enum fsrv__level level, const char *format, ...) {
        char text[1024];
        va_list args;

        (void)s;
        (void)level;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
}

int fsrv__zygote_start(struct fsrv__server *s, struct fsrv__zygote *z) {
        fsrv__zygote_blame(s, z, (struct fsrv__failure_of){ FSRV_FAILURE_START, EAGAIN, "none", NULL });
        return -EAGAIN;
}

/* ---- one server ---- */

struct ends {
        int claims, orders, doorbell, peer;
        int born; /* the boot socket of the last zygote in a sandbox that was ordered */
};

static void make_peer(struct fsrv__server *s, struct ends *ends, bool may) {
        int pair[2];

        if (fsrv__socketpair(pair) == 0) {
                ends->peer = pair[1];
                fsrv__peer_add(s, pair[0], may ? geteuid() : geteuid() + 1, fsrv__deadline(10000));
        }
}

static void make(struct fsrv__server *s, struct ends *ends, uint8_t how) {
        int orders[2] = { -1, -1 }, doorbell[2] = { -1, -1 }, on = 1;

        *s = (struct fsrv__server){
                .program = -1, .data = -1, .output = -1, .sandbox = -1, .listener = -1, .signals = -1, .room = 12
        };
        s->supervisor.socket = s->supervisor.ready = s->files.inotify = s->metrics = -1;
        s->files.look = s->files.reload = FSRV_NEVER;
        s->epoll = epoll_create1(EPOLL_CLOEXEC);
        s->config.head.standbys = 2;
        s->config.path = how & 1 ? "/dev/null/socket" : NULL;
        if (fsrv__socketpair(orders) < 0 || fsrv__socketpair(doorbell) < 0)
                return;
        setsockopt(doorbell[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
        fsrv__zygote_add(s, doorbell[0], how & 1 ? fsrv__fd_dup_above(doorbell[1], 3) : -1, -1);
        struct fsrv__zygote *z = s->zygotes;
        z->pid = ZYGOTE;
        z->pidfd = eventfd(0, EFD_CLOEXEC);
        z->orders = orders[0];
        fsrv__zygote_become(s, z, how & 2 ? FSRV_ZYGOTE_LOADING : FSRV_ZYGOTE_READY);
        fsrv__watch(s, z->orders, EPOLLIN, FSRV_SOURCE_ORDERS, z->id);
        *ends = (struct ends){ z->claims[1], orders[1], doorbell[1], -1, -1 };
        make_peer(s, ends, how & 4);
        if (how & 8)
                fsrv__child_add(s, z, getpid(), FSRV_ROLE_STANDBY); /* it sends the claims */
}

/* ---- steps ---- */

static pid_t some_child(const struct fsrv__server *s, uint8_t which) {
        const struct fsrv__child *child = s->children;

        for (; child && which > 0; which--)
                child = child->hh.next;
        return child ? child->pid : getpid();
}

static void send_to(struct fuzz_input *input, int sock) {
        static char bytes[FSRV_WIRE_MESSAGE_MAX];
        uint8_t n_fds = fuzz_byte(input);
        size_t n = fuzz_message(input, bytes, sizeof bytes);

        fuzz_send(sock, bytes, n, n_fds);
}

static void take_time(struct fsrv__server *s, struct fsrv__zygote *z, int64_t now) {
        fsrv__refusals_on_time(s, now);
        if (fsrv__standbys_look(s, now))
                fsrv__standbys_end_hung(s);
        fsrv__families_on_time(s, now);
        fsrv__answers_retry(s);
        fsrv__peers_on_time(s, now);
        if (z->deadline <= now)
                fsrv__zygote_on(s, z, (struct fsrv__news){ .event = FSRV_EVENT_LATE });
}

/* A reload, up to the end of the standbys of before. */
static void take_reload(struct fsrv__server *s, bool have_stopped) {
        struct fsrv__child *child, *next;

        if (fsrv__retiring_look(s, FSRV_NEVER - 1)) {
                HASH_ITER(hh, s->children, child, next)
                        child->is_stopped = child->retires && have_stopped;
                fsrv__retiring_end(s);
        }
        fsrv__reload_follow(s);
        fsrv__peers_on_reload(s);
        fsrv__zygotes_sweep(s);
}

static void ring(struct fsrv__server *s, struct fsrv__zygote *z) {
        fsrv__refusal_watch(s, z);
        fsrv__refusal_send(s, z);
        if (!fsrv__refusal_now(s, z))
                fsrv__zygote_on(s, z, (struct fsrv__news){ .event = FSRV_EVENT_ASKED });
}

static void want(struct fsrv__server *s, struct fsrv__zygote *z) {
        fsrv__zygote_on(s, z, (struct fsrv__news){ .event = FSRV_EVENT_WANTED });
        if (z->state == FSRV_ZYGOTE_READY || z->state == FSRV_ZYGOTE_SLOW)
                fsrv__standbys_order(s, z);
}

static void hang_up(struct fsrv__server *s, pid_t pid) {
        struct fsrv__child *child = fsrv__child_find(s, pid);

        if (child)
                fsrv__answer_on_hangup(s, child);
}

/* ---- zygotes in sandboxes ---- */

static void add_locked(struct fsrv__server *s) {
        int doorbell[2];

        if (s->last_zygote < 4 && fsrv__socketpair(doorbell) == 0)
                fsrv__zygote_add(s, doorbell[0], -1, fsrv__fd_dup_above(doorbell[1], 3));
}

/* What the first zygote would hear. */
static void take_boot_socket(struct ends *ends) {
        struct fsrv__wire_order order;
        struct fsrv__message message;
        int slots[FSRV_SLOTS];

        if (fsrv__channel_receive(ends->orders, &order, sizeof order, MSG_DONTWAIT, &message) == 1 &&
            fsrv__message_unpack(FSRV_TABLE_TO_ZYGOTE, &order, &message, slots) == 0 &&
            order.type == FSRV_WIRE_FORK_ZYGOTE)
                ends->born = slots[FSRV_SLOT_ORDERS];
}

static struct fsrv__zygote *some_zygote(const struct fsrv__server *s, uint8_t which) {
        struct fsrv__zygote *z = s->zygotes;

        for (; z->next && which > 0; which--)
                z = z->next;
        return z;
}

static void desert(struct fsrv__server *s, struct fsrv__zygote *z) {
        z->is_deserted = true;
        if (fsrv__zygote_is_unwanted(z))
                fsrv__zygote_on(s, z, (struct fsrv__news){ .event = FSRV_EVENT_END });
        fsrv__zygotes_sweep(s);
}

static void step(struct fsrv__server *s, struct ends *ends, struct fuzz_input *input) {
        uint8_t what = fuzz_byte(input);
        struct fsrv__zygote *z = some_zygote(s, what / 32);
        const struct fsrv__wire_failed none = { .type = FSRV_WIRE_FAILED, .stage = 1, .err = EAGAIN };

        switch (what % 32) {
        case 0:
                send_to(input, ends->claims);
                break;
        case 1:
                fsrv__claims_receive(s, z);
                break;
        case 2:
                send_to(input, ends->orders);
                fsrv__orders_receive(s, z);
                break;
        case 3:
                send_to(input, ends->peer);
                if (s->peers)
                        fsrv__peer_on_message(s, (uint32_t)s->peers->fd);
                break;
        case 4:
                send_to(input, ends->doorbell);
                ring(s, z);
                break;
        case 5:
                deaths = fuzz_byte(input);
                fsrv__death_of(s, some_child(s, fuzz_byte(input) % 8));
                break;
        case 6:
                hang_up(s, some_child(s, fuzz_byte(input) % 8));
                break;
        case 7:
                deaths = fuzz_byte(input);
                fsrv__death_of(s, z->pid ? z->pid : ZYGOTE);
                break;
        case 8:
                take_time(s, z, fsrv__now() + fuzz_byte(input) * 1000);
                break;
        case 9:
                want(s, z);
                break;
        case 10:
                make_peer(s, ends, fuzz_byte(input) & 1);
                break;
        case 11:
                fsrv__refuse(s, z, fuzz_byte(input), &none);
                break;
        case 20:
                fsrv__reload_ask(s);
                take_reload(s, true);
                break;
        case 21:
                take_reload(s, fuzz_byte(input) & 1);
                break;
        case 12:
                add_locked(s);
                break;
        case 13:
                take_boot_socket(ends);
                break;
        case 14:
                send_to(input, ends->born);
                fsrv__orders_receive(s, z);
                break;
        case 15:
                desert(s, z);
                break;
        default:
                fsrv__zygote_on(s, z, (struct fsrv__news){ .event = FSRV_EVENT_END });
        }
}

static void check(const struct fsrv__server *s) {
        unsigned idle = 0, counted = 0, answers = 0, peers = 0;

        for (const struct fsrv__child *child = s->children; child; child = child->hh.next) {
                idle += child->role == FSRV_ROLE_STANDBY;
                answers += child->answer >= 0;
        }
        for (const struct fsrv__peer *peer = s->peers; peer; peer = peer->next)
                peers++;
        for (const struct fsrv__zygote *z = s->zygotes; z; z = z->next)
                counted += z->idle;
        FSRV_FUZZ_CHECK(counted == idle && s->answers == answers && s->n_peers == peers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct fuzz_input input = { data, size };
        static struct fsrv__server s;
        struct ends ends = { -1, -1, -1, -1, -1 };

        fuzz_begin();
        make(&s, &ends, fuzz_byte(&input));
        for (int n = 0; n < STEPS_MAX && input.left > 0; n++) {
                step(&s, &ends, &input);
                check(&s);
        }
        fuzz_end();
        return 0;
}
