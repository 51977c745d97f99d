/* SPDX-License-Identifier: MIT */
/*
 * A client as none should be: what tests/test_attack.py sends to a named server. It knows the protocol by protocol.h
 * and the codec alone, and has the library's rules nowhere in its way.
 *
 *   attack layout                            the numbers that another attacker needs, as JSON
 *   attack mutate SOCKET ENTRY N SEED        N requests, most of them broken in one to three ways
 *   attack ring SOCKET ENTRY N [UID]         N good requests, sent as another user
 *   attack promise SOCKET ENTRY N            N requests that announce 1000 fds and bring none
 *   attack sandbox SOCKET ENTRY N SEED       N zygotes for what is mostly no sandbox, with what is mostly no doorbell,
 * of which some 100 are wanted at a time; and a request to each attack fill SOCKET ENTRY N               N good
 * requests as fast as it goes, whose answers are never read and have room for one message; says "sent", and stays until
 * its standard input ends attack linger SOCKET UID                 leaves a TCP socket whose closing takes long in a
 * connection, as another user; says "sent", and stays likewise
 *
 * The first five of the attacks end with one line of JSON: how often each outcome was.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/linux.h"
#include "wire/messages.h"
#include "wire/request_codec.h"
#include "wire/sandbox_codec.h"

enum {
        OVERSIZED = 100000, /* more than a message may have, less than a socket takes */
        IN_FLIGHT = 64,     /* answers that are waited for; then the oldest is given up */
        USER_FDS = 2,
};

struct ring {
        char bytes[OVERSIZED];
        size_t size;
        int fds[FSRV_WIRE_FDS_MAX]; /* borrowed, but for the answer and the memfd */
        size_t n_fds;
        int answer, memfd; /* answer: the worker's end */
};

/* What stays open from one request to the next. */
static struct {
        int doorbell, lifeline, directory, null, stream;
        const char *entry;
} own;

static struct { unsigned sent, not_sent, started, failed, exited, silent, refused; } counts;

static void die(const char *what) {
        perror(what);
        exit(1);
}

static void print_counts(void) {
        printf("{\"sent\":%u,\"not_sent\":%u,\"started\":%u,\"failed\":%u,\"exited\":%u,"
               "\"silent\":%u,\"refused\":%u}\n",
               counts.sent, counts.not_sent, counts.started, counts.failed, counts.exited, counts.silent,
               counts.refused);
}

/* ---- chance: the same for the same seed ---- */

static uint64_t state;

static uint32_t chance(uint32_t below) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return (uint32_t)((state >> 16) % below);
}

static uint32_t odd_number(void) {
        static const uint32_t numbers[] = { 0,          1,          2,         3,          7,          64,
                                            100,        246,        247,       253,        254,        1000,
                                            65535,      65536,      65537,     0x40000000, 0x40000001, 0x7fffffff,
                                            0x80000000, 0xfffffffe, 0xffffffff };

        return numbers[chance(sizeof numbers / sizeof *numbers)];
}

/* ---- a good request ---- */

static int connect_to(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        if (strlen(path) >= sizeof address.sun_path)
                die("the path");
        strcpy(address.sun_path, path);
        if (sock < 0 || connect(sock, (struct sockaddr *)&address, sizeof address) < 0)
                die("connecting");
        return sock;
}

static void attach(const char *path) {
        struct fsrv__wire_admin question = { .version = FSRV_WIRE_VERSION, .type = FSRV_WIRE_ADMIN_ATTACH };
        struct fsrv__wire_reply reply;
        struct fsrv__message message;
        int sock = connect_to(path), ends[2];

        if (fsrv__channel_send(sock, &question, sizeof question, NULL, 0, 0) < 0 ||
            fsrv__channel_receive(sock, &reply, sizeof reply, 0, &message) != 1 || reply.err || message.n_fds != 1)
                die("attaching");
        close(sock);
        own.doorbell = message.fds[0];
        if (fsrv__pipe(ends) < 0)
                die("a pipe");
        own.lifeline = ends[0];
        own.directory = fsrv__open(".", O_PATH | O_DIRECTORY);
        own.null = fsrv__open("/dev/null", O_RDWR);
        if (fsrv__streampair(ends) < 0 || own.directory < 0 || own.null < 0)
                die("fds");
        own.stream = ends[0];
}

static void encode(struct ring *ring, uint32_t flags) {
        static const struct fsrv__wire_action actions[] = {
                { .type = FSRV_WIRE_INSTALL, .source = 0, .target = 20 },
                { .type = FSRV_WIRE_DUP, .source = 20, .target = 21 },
                { .type = FSRV_WIRE_OPEN, .source = O_RDONLY, .target = 22 },
                { .type = FSRV_WIRE_CLOSE, .target = 21 },
                { .type = FSRV_WIRE_HAND, .source = 1 },
        };
        char *argv[] = { (char *)own.entry, "7", NULL }, *environment[] = { "A=1", NULL }, *paths[] = { ".", NULL };
        struct fsrv__request_parts parts = {
                .head = { .kind = FSRV_WIRE_ENTRY,
                          .flags = flags,
                          .n_fds = USER_FDS,
                          .n_actions = sizeof actions / sizeof *actions,
                          .umask = 022,
                          .payload_size = 4 },
                .actions = actions,
                .name = own.entry,
                .search = "",
                .directory = "",
                .argv = argv,
                .environment = environment,
                .paths = paths,
                .payload = "load",
        };
        struct fsrv__wire_request *head;
        char *bytes;

        if (fsrv__request_encode(&parts, &bytes, &ring->size) < 0)
                die("encoding");
        head = (void *)bytes;
        head->n_fds_here = USER_FDS;
        if (flags & FSRV_WIRE_BODY_IN_MEMFD) {
                ring->memfd = fsrv__sealed_memfd("attack", bytes + sizeof *head, head->body_size);
                ring->size = sizeof *head;
        }
        memcpy(ring->bytes, bytes, ring->size);
        free(bytes);
}

/* Its answers come on *ret_ours. */
static void prepare(struct ring *ring, uint32_t flags, int *ret_ours) {
        int pair[2];

        if (fsrv__socketpair(pair) < 0)
                die("a socket pair");
        ring->memfd = -1;
        encode(ring, flags);
        ring->answer = pair[1];
        *ret_ours = pair[0];
        const int callers[USER_FDS] = { own.null, own.null }, slots[FSRV_SLOTS] = {
                [FSRV_SLOT_ANSWER] = ring->answer,   [FSRV_SLOT_DOORBELL] = own.doorbell,
                [FSRV_SLOT_LIFELINE] = own.lifeline, [FSRV_SLOT_DIRECTORY] = own.directory,
                [FSRV_SLOT_STATUS] = own.stream,     [FSRV_SLOT_TRACKER] = own.null,
                [FSRV_SLOT_BODY] = ring->memfd,
        };
        ring->n_fds = fsrv__message_pack(FSRV_TABLE_DOORBELL, ring->bytes, slots, callers, ring->fds);
}

/* Waits while the doorbell is full. */
static void send_ring(const struct ring *ring) {
        for (;;) {
                int r = fsrv__channel_send(own.doorbell, ring->bytes, ring->size, ring->fds, ring->n_fds, MSG_DONTWAIT);
                if (r == 0) {
                        counts.sent++;
                        return;
                }
                if (r == -EPIPE || r == -ECONNREFUSED || r == -ECONNRESET)
                        die("the server is gone");
                if (r != -EAGAIN && r != -ENOBUFS && r != -ETOOMANYREFS) {
                        counts.not_sent++; /* what the kernel doesn't take */
                        return;
                }
                struct pollfd entry = { .fd = own.doorbell, .events = POLLOUT };
                poll(&entry, 1, 1);
        }
}

static void done(struct ring *ring) {
        close(ring->answer);
        fsrv__fd_close(ring->memfd);
}

/* ---- what came of it ---- */

/* `limit_ms` for the first word. */
static void hear(int answer, int limit_ms) {
        struct pollfd entry = { .fd = answer, .events = POLLIN };
        union fsrv__wire_answer reply = { 0 };
        struct fsrv__message message;

        int r = poll(&entry, 1, limit_ms) == 1
                        ? fsrv__channel_receive(answer, &reply, sizeof reply, MSG_DONTWAIT, &message)
                        : -EAGAIN;
        if (r == 1)
                fsrv__message_close(&message);
        counts.started += r == 1 && reply.type == FSRV_WIRE_STARTED;
        counts.failed += r == 1 && reply.type == FSRV_WIRE_FAILED;
        counts.refused += r == 1 && reply.type == FSRV_WIRE_FAILED && reply.failed.err == EPERM;
        counts.exited += r == 1 && reply.type == FSRV_WIRE_EXITED;
        counts.silent += r != 1;
        close(answer);
}

/* ---- mutations ---- */

static void stuff_fds(struct ring *ring) {
        size_t wanted = ring->n_fds + chance(FSRV_WIRE_FDS_MAX - (uint32_t)ring->n_fds + 1);
        const int choice[] = { own.null, ring->answer, own.doorbell, own.stream, own.directory, own.lifeline };

        while (ring->n_fds < wanted)
                ring->fds[ring->n_fds++] = choice[chance(6)];
}

static void replace_fd(struct ring *ring) {
        const int choice[] = { own.null, own.doorbell, own.stream, own.directory, own.lifeline };

        if (ring->n_fds > 0)
                ring->fds[chance((uint32_t)ring->n_fds)] = choice[chance(5)];
}

static void resize(struct ring *ring, size_t size) {
        if (size > sizeof ring->bytes) /* an oversized one, made longer still */
                size = sizeof ring->bytes;
        for (size_t i = ring->size; i < size; i++)
                ring->bytes[i] = (char)chance(256);
        ring->size = size;
}

static void set_word(struct ring *ring, size_t from, size_t to) {
        uint32_t value = odd_number();

        if (to > ring->size)
                to = ring->size;
        if (from + sizeof value <= to)
                memcpy(ring->bytes + from + sizeof value * chance((uint32_t)((to - from) / sizeof value)), &value,
                       sizeof value);
}

/* No letter of a path is ever changed into another: what it names must stay harmless. */
static void toggle_nul(struct ring *ring) {
        size_t strings = sizeof(struct fsrv__wire_request) + 5 * sizeof(struct fsrv__wire_action);

        if (ring->size > strings) {
                char *at = ring->bytes + strings + chance((uint32_t)(ring->size - strings));
                *at = *at ? 0 : '.';
        }
}

static void mutate(struct ring *ring) {
        const size_t head = sizeof(struct fsrv__wire_request);

        switch (chance(12)) {
        case 0:
                if (ring->size >= head)
                        ring->bytes[chance(head)] ^= (char)(1 << chance(8));
                break;
        case 1:
        case 2:
                set_word(ring, 0, head);
                break;
        case 3:
        case 4:
                set_word(ring, head, head + 5 * sizeof(struct fsrv__wire_action));
                break;
        case 5:
                toggle_nul(ring);
                break;
        case 6:
                resize(ring, chance((uint32_t)ring->size + 1));
                break;
        case 7:
                resize(ring, ring->size + chance(16) * chance(16));
                break;
        case 8:
                resize(ring, chance(8) ? ring->size + chance(300)
                                       : FSRV_WIRE_MESSAGE_MAX + chance(OVERSIZED - FSRV_WIRE_MESSAGE_MAX));
                break;
        case 9:
                ring->n_fds -= chance((uint32_t)ring->n_fds + 1);
                break;
        case 10:
                stuff_fds(ring);
                break;
        default:
                replace_fd(ring);
        }
}

static void attack_mutate(unsigned n) {
        static struct ring ring;
        int answers[IN_FLIGHT];

        for (unsigned i = 0; i < n; i++) {
                int *answer = &answers[i % IN_FLIGHT];
                if (i >= IN_FLIGHT)
                        hear(*answer, 0);
                /* Any of the flags that bring an fd along, and kill-on-close. */
                prepare(&ring,
                        chance(2) ? 0
                                  : chance(1u << 7) & (FSRV_WIRE_BODY_IN_MEMFD | FSRV_WIRE_KILL_ON_CLOSE |
                                                       FSRV_WIRE_HAS_STATUS | FSRV_WIRE_HAS_TRACKER),
                        answer);
                for (uint32_t k = chance(8) ? 1 + chance(3) : 0; k > 0; k--)
                        mutate(&ring);
                send_ring(&ring);
                done(&ring);
        }
        for (unsigned i = n < IN_FLIGHT ? 0 : n - IN_FLIGHT; i < n; i++)
                hear(answers[i % IN_FLIGHT], 1000);
}

/* ---- the others ---- */

static void become(const char *uid) {
        uid_t id = (uid_t)atoi(uid);

        if (setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0)
                die("another user");
}

static void attack_ring(unsigned n) {
        static struct ring ring;

        for (unsigned i = 0; i < n; i++) {
                int answer;
                prepare(&ring, 0, &answer);
                send_ring(&ring);
                done(&ring);
                hear(answer, 60000);
        }
}

static void attack_promise(unsigned n) {
        static struct ring ring;
        int *answers = calloc(n, sizeof *answers);

        for (unsigned i = 0; answers && i < n; i++) {
                prepare(&ring, 0, &answers[i]);
                ((struct fsrv__wire_request *)ring.bytes)->n_fds = 1000;
                send_ring(&ring);
                done(&ring);
        }
        for (unsigned i = 0; answers && i < n; i++)
                hear(answers[i], counts.silent ? 0 : 30000); /* what comes late is not waited for fifty times */
        free(answers);
}

/* Of a sandbox without rules, if it isn't broken. */
static int make_sandbox(void) {
        static char bytes[FSRV_SANDBOX_MAX + 100];
        struct fsrv__sandbox_parts parts = { .profile = "none" };
        char *sound;
        size_t n;

        switch (chance(4)) {
        case 0: /* a file that isn't sealed */
                return fsrv__open("/dev/null", O_RDWR);
        case 1: /* noise */
                for (size_t i = 0; i < sizeof bytes; i++)
                        bytes[i] = (char)chance(256);
                return fsrv__sealed_memfd("noise", bytes, 1 + chance(sizeof bytes));
        default:
                if (fsrv__sandbox_encode(&parts, &sound, &n) < 0)
                        die("encoding");
                if (chance(2))
                        sound[chance((uint32_t)n)] ^= 1 << chance(8);
                int fd = fsrv__sealed_memfd("sandbox", sound, n);
                free(sound);
                return fd;
        }
}

/* Both ends of a doorbell, or of what is none. */
static void make_doorbell(int pair[2]) {
        int on = 1;

        if (chance(4) == 0 ? fsrv__pipe(pair) < 0 : fsrv__socketpair(pair) < 0)
                die("a doorbell");
        if (chance(4))
                setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
}

static void attack_sandbox(unsigned n) {
        enum { AT_A_TIME = 100 };
        const struct fsrv__wire_admin message = { .version = FSRV_WIRE_VERSION, .type = FSRV_WIRE_SANDBOX };
        static struct ring ring;
        int doorbells[AT_A_TIME], ours, base = own.doorbell;

        memset(doorbells, -1, sizeof doorbells);
        for (unsigned i = 0; i < n; i++) {
                int pair[2], *kept = &doorbells[i % AT_A_TIME];

                make_doorbell(pair);
                prepare(&ring, 0, &ours);
                int fds[] = { ring.answer, pair[0], make_sandbox() };
                fsrv__channel_send(base, &message, sizeof message, fds, chance(8) ? 3 : chance(4), 0);
                own.doorbell = pair[1];
                if (fsrv__channel_send(pair[1], ring.bytes, ring.size, ring.fds, ring.n_fds, MSG_DONTWAIT) == 0)
                        counts.sent++;
                else
                        counts.not_sent++;
                own.doorbell = base;
                close(fds[1]);
                close(fds[2]);
                done(&ring);
                hear(ours, chance(4) ? 0 : 200);
                fsrv__fd_close(*kept);
                *kept = pair[1];
        }
        fsrv__fds_close(doorbells, AT_A_TIME);
}

static void stay(void) {
        char byte;

        puts("sent");
        fflush(stdout);
        (void)!read(STDIN_FILENO, &byte, 1);
}

/* Full but for one message, STARTED: the status will have to wait. */
static void fill_answer(int ours, int theirs) {
        int least = 1;
        char byte = 0;

        setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
        while (send(theirs, &byte, 1, MSG_DONTWAIT) == 1)
                ;
        if (recv(ours, &byte, 1, MSG_DONTWAIT) != 1)
                die("filling");
}

static void attack_fill(unsigned n) {
        static struct ring ring;

        for (unsigned i = 0; i < n; i++) {
                int ours; /* stays open */
                prepare(&ring, 0, &ours);
                fill_answer(ours, ring.answer);
                send_ring(&ring);
                done(&ring);
        }
        stay();
}

/* Connected, and full, so that its last close(2) waits for what nobody will read. Its other ends stay ours. */
static int lingering_socket(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct linger linger = { .l_onoff = 1, .l_linger = 3600 };
        socklen_t size = sizeof address;
        static char bytes[1 << 16];
        int listener = socket(AF_INET, SOCK_STREAM, 0), sock = socket(AF_INET, SOCK_STREAM, 0);

        if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 1) < 0 ||
            getsockname(listener, (struct sockaddr *)&address, &size) < 0 ||
            connect(sock, (struct sockaddr *)&address, size) < 0 || accept(listener, NULL, NULL) < 0)
                die("a TCP connection");
        while (send(sock, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
                ;
        setsockopt(sock, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        return sock;
}

static void attack_linger(const char *path) {
        int sock = connect_to(path), heavy = lingering_socket();

        if (fsrv__channel_send(sock, "x", 1, &heavy, 1, 0) < 0) { /* not to wait for it ourselves */
                struct linger none = { 0 };
                setsockopt(heavy, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        }
        close(heavy);
        stay();
}

static void print_layout(void) {
        printf("{\"version\":%u,\"text\":%d,\"reply\":%zu,\"started\":%zu,\"failed\":%zu,\"exited\":%zu}\n",
               FSRV_WIRE_VERSION, FSRV_WIRE_TEXT_MAX, sizeof(struct fsrv__wire_reply),
               sizeof(struct fsrv__wire_started), sizeof(struct fsrv__wire_failed), sizeof(struct fsrv__wire_exited));
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                void (*run)(unsigned n);
        } attacks[] = { { "mutate", attack_mutate },
                        { "ring", attack_ring },
                        { "promise", attack_promise },
                        { "sandbox", attack_sandbox },
                        { "fill", attack_fill } };
        const char *what = argc > 1 ? argv[1] : "";

        if (strcmp(what, "layout") == 0) {
                print_layout();
                return 0;
        }
        if (strcmp(what, "linger") == 0 && argc == 4) {
                become(argv[3]);
                attack_linger(argv[2]);
                return 0;
        }
        for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++)
                if (strcmp(what, attacks[i].name) == 0 && argc >= 5) {
                        attach(argv[2]);
                        own.entry = argv[3];
                        state = argc > 5 ? strtoull(argv[5], NULL, 10) * 2 + 1 : 1;
                        if (attacks[i].run == attack_ring && argc > 5)
                                become(argv[5]);
                        attacks[i].run((unsigned)atoi(argv[4]));
                        print_counts();
                        return 0;
                }
        fprintf(stderr, "usage: see the head of attack.c\n");
        return 2;
}
