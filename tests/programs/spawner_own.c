/* SPDX-License-Identifier: MIT */
/* The commands that change or ask this process itself: what it has *now* is what its next child sees. */
#define _GNU_SOURCE
#include "spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "words.h"

static atomic_int sigchlds;

static void do_chdir(int argc, char **argv) {
        (void)argc;
        say_own(chdir(argv[1]));
}

static void do_umask(int argc, char **argv) {
        (void)argc;
        say_own(umask((mode_t)atoi(argv[1])));
}

static void do_setenv(int argc, char **argv) {
        say_own(argc > 2 ? setenv(argv[1], argv[2], 1) : unsetenv(argv[1]));
}

static void do_clearenv(int argc, char **argv) {
        (void)argc;
        (void)argv;
        say_own(clearenv());
}

/* mask SIGNAL…: blocked are these and no others */
static void do_mask(int argc, char **argv) {
        sigset_t set;

        sigemptyset(&set);
        for (int i = 1; i < argc; i++)
                sigaddset(&set, atoi(argv[i]));
        say_own(sigprocmask(SIG_SETMASK, &set, NULL));
}

/* ignore SIGNAL 0|1 */
static void do_ignore(int argc, char **argv) {
        (void)argc;
        say_own(signal(atoi(argv[1]), atoi(argv[2]) ? SIG_IGN : SIG_DFL) == SIG_ERR ? -1 : 0);
}

static void count_sigchld(int number) {
        (void)number;
        atomic_fetch_add(&sigchlds, 1);
}

/* From now on counts SIGCHLD; the answer is the number so far. */
static void do_sigchld(int argc, char **argv) {
        struct sigaction action = { .sa_handler = count_sigchld, .sa_flags = SA_RESTART };

        (void)argc;
        (void)argv;
        sigaction(SIGCHLD, &action, NULL);
        say(atomic_load(&sigchlds));
}

static void do_wait_any(int argc, char **argv) {
        (void)argc;
        (void)argv;
        say_own(waitpid(-1, NULL, WNOHANG | __WALL));
}

static int resource(const char *name) {
        return strcmp(name, "nofile") == 0  ? RLIMIT_NOFILE
               : strcmp(name, "nproc") == 0 ? RLIMIT_NPROC
               : strcmp(name, "as") == 0    ? RLIMIT_AS
                                            : RLIMIT_CORE;
}

/* limit NAME SOFT [HARD] */
static void do_limit(int argc, char **argv) {
        struct rlimit limit;

        getrlimit((__rlimit_resource_t)resource(argv[1]), &limit);
        limit.rlim_cur = (rlim_t)atoll(argv[2]); /* -1: RLIM_INFINITY */
        if (argc > 3)
                limit.rlim_max = (rlim_t)atoll(argv[3]);
        say_own(setrlimit((__rlimit_resource_t)resource(argv[1]), &limit));
}

static void do_setuid(int argc, char **argv) {
        (void)argc;
        say_own(setresuid((uid_t)atoi(argv[1]), (uid_t)atoi(argv[1]), (uid_t)atoi(argv[1])));
}

static void do_ids(int argc, char **argv) {
        (void)argc;
        (void)argv;
        say(0);
        fprintf(answer, ",\"pid\":%d,\"pgid\":%d,\"sid\":%d,\"uid\":%d", (int)getpid(), (int)getpgrp(), (int)getsid(0),
                (int)geteuid());
}

static void do_setpgid(int argc, char **argv) {
        (void)argc;
        (void)argv;
        say_own(setpgid(0, 0));
}

static void do_setsid(int argc, char **argv) {
        (void)argc;
        (void)argv;
        say_own(setsid());
}

static void do_no_new_privs(int argc, char **argv) {
        (void)argc;
        (void)argv;
        say_own(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/* unshare: a host name of our own */
static void do_unshare(int argc, char **argv) {
        (void)argc;
        (void)argv;
        say_own(unshare(CLONE_NEWUTS));
}

/* ---- fds ---- */

static void do_open(int argc, char **argv) {
        (void)argc;
        say_own(open(argv[1], atoi(argv[2]) | O_CLOEXEC, 0666));
}

static void do_pipe(int argc, char **argv) {
        int ends[2] = { -1, -1 };

        (void)argc;
        (void)argv;
        say_own(pipe2(ends, O_CLOEXEC));
        fprintf(answer, ",\"fds\":[%d,%d]", ends[0], ends[1]);
}

static void do_dup2(int argc, char **argv) {
        (void)argc;
        say_own(dup2(atoi(argv[1]), atoi(argv[2])));
}

static void do_close(int argc, char **argv) {
        for (int i = 1; i < argc; i++)
                close(atoi(argv[i]));
        say(0);
}

static void do_write(int argc, char **argv) {
        (void)argc;
        say_own(write(atoi(argv[1]), argv[2], strlen(argv[2])));
}

/* read FD: to its end, for 60 s at most */
static void do_read(int argc, char **argv) {
        struct pollfd entry = { .fd = atoi(argv[1]), .events = POLLIN };
        char *bytes = NULL;
        size_t n = 0;
        ssize_t k = -1;

        (void)argc;
        do {
                bytes = realloc(bytes, n + 65536);
                if (poll(&entry, 1, 60000) != 1)
                        break;
                k = read(entry.fd, bytes + n, 65536);
                n += k > 0 ? (size_t)k : 0;
        } while (k > 0 && n < 1 << 26);
        say(k == 0 ? 0 : -EIO);
        fputs(",\"bytes\":", answer);
        json_string(answer, bytes, n);
        free(bytes);
}

static void do_count_fds(int argc, char **argv) {
        int n = 0;

        (void)argc;
        (void)argv;
        for (int fd = 0; fd < 65536; fd++) /* a listing would need one more */
                n += fcntl(fd, F_GETFD) >= 0;
        say(n);
}

/* ---- raw messages on what the library holds ---- */

static ssize_t send_raw(int fd, const void *bytes, size_t n, const int *fds, size_t n_fds) {
        char control[CMSG_SPACE(16 * sizeof(int))] = { 0 };
        struct iovec part = { .iov_base = (void *)bytes, .iov_len = n };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

        if (n_fds > 0) {
                message.msg_control = control;
                message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                struct cmsghdr *header = CMSG_FIRSTHDR(&message);
                header->cmsg_level = SOL_SOCKET;
                header->cmsg_type = SCM_RIGHTS;
                header->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
                memcpy(CMSG_DATA(header), fds, n_fds * sizeof(int));
        }
        return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Random bytes; a byte without fds; bytes with fds that nobody announced; random with a true beginning. */
static void send_garbage(int sock, unsigned round, uint32_t version) {
        static char bytes[65536];
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        int fds[16];
        size_t size = round % 5 == 0 ? 1 : round % 5 == 1 ? 72 : (size_t)rand() % sizeof bytes;

        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (char)rand();
        for (size_t i = 0; i < 16; i++)
                fds[i] = null;
        if (round % 2)
                memcpy(bytes, (const uint32_t[]){ version, 0, 1 + round % 3 }, 12);
        send_raw(sock, bytes, size, fds, round % 17);
        close(null);
}

/* The next SEQPACKET socket of ours after `fd`; -1 if there is none. */
static int next_channel(int fd) {
        while (++fd < 256) {
                int type = 0;
                socklen_t size = sizeof type;
                if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET)
                        return fd;
        }
        return -1;
}

/* garbage ROUNDS VERSION: on each SEQPACKET socket of ours; the answer is how many there are */
static void do_garbage(int argc, char **argv) {
        unsigned rounds = (unsigned)atoi(argv[1]);
        uint32_t version = (uint32_t)strtoul(argv[2], NULL, 0);
        int found = 0;

        (void)argc;
        for (int fd = 2; (fd = next_channel(fd)) >= 0;) {
                found++;
                for (unsigned round = 0; round < rounds; round++)
                        send_garbage(fd, round, version);
        }
        say(found);
}

/* fill: garbage onto each of them, until no more fits; the answer is how many there are */
static void do_fill(int argc, char **argv) {
        static const char bytes[32768];
        int found = 0;

        (void)argc;
        (void)argv;
        for (int fd = 2; (fd = next_channel(fd)) >= 0;) {
                found++;
                for (size_t n = sizeof bytes; n > 0; n /= 2)
                        while (send_raw(fd, bytes, n, NULL, 0) > 0)
                                ;
        }
        say(found);
}

/* in_flight: as many fds as the kernel lets this uid have in flight, in a socket pair that stays; the answer is what
 * the first that it refused was told */
static void do_in_flight(int argc, char **argv) {
        int pair[2], fds[16], size = 1 << 20, sent = 0;

        (void)argc;
        (void)argv;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
                say_own(-1);
                return;
        }
        setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        for (size_t i = 0; i < 16; i++)
                fds[i] = pair[0];
        for (size_t n = 16; n > 0; n /= 2)
                while (send_raw(pair[0], "", 1, fds, n) > 0)
                        sent += (int)n;
        int err = errno;
        say(0);
        fprintf(answer, ",\"fds\":[%d,%d],\"sent\":%d,\"refused\":\"%s\"", pair[0], pair[1], sent,
                strerrorname_np(err));
}

/* ---- a client that gives up in the moment when its process starts: the library shuts the answer down, then looks - */

static const char *gives_up;
static int late;

/* Looks at the answer, as the wire has it: type and pid. The end is told a moment after the process is gone. */
static void await_end(int sock) {
        int started[3] = { 0 };

        if (recv(sock, started, sizeof started, MSG_PEEK | MSG_DONTWAIT) == sizeof started)
                while (kill(started[1], 0) == 0)
                        poll(NULL, 0, 1);
        poll(NULL, 0, 1);
}

int shutdown(int sock, int how) {
        struct pollfd entry = { .fd = sock, .events = POLLIN };
        bool is_late = gives_up && how == SHUT_RD && poll(&entry, 1, 60000) == 1;

        if (is_late && strcmp(gives_up, "ended") == 0)
                await_end(sock);
        int r = (int)syscall(SYS_shutdown, sock, how);
        if (is_late && strcmp(gives_up, "ends") == 0)
                await_end(sock);
        late += is_late;
        return r;
}

/* give_up [started|ended|ends]: once the process has started; once it has ended; once it has started, and looks once it
 * has ended. The answer: how often that was so since it was asked. */
static void do_give_up(int argc, char **argv) {
        static char when[16];

        say(late);
        late = 0;
        gives_up = argc > 1 ? strncpy(when, argv[1], sizeof when - 1) : NULL;
}

const struct command own_commands[] = {
        { "chdir", 1, do_chdir },
        { "umask", 1, do_umask },
        { "setenv", 1, do_setenv },
        { "clearenv", 0, do_clearenv },
        { "mask", 0, do_mask },
        { "ignore", 2, do_ignore },
        { "sigchld", 0, do_sigchld },
        { "wait_any", 0, do_wait_any },
        { "limit", 2, do_limit },
        { "setuid", 1, do_setuid },
        { "ids", 0, do_ids },
        { "setpgid", 0, do_setpgid },
        { "setsid", 0, do_setsid },
        { "no_new_privs", 0, do_no_new_privs },
        { "unshare", 0, do_unshare },
        { "open", 2, do_open },
        { "pipe", 0, do_pipe },
        { "dup2", 2, do_dup2 },
        { "close", 1, do_close },
        { "write", 2, do_write },
        { "read", 1, do_read },
        { "count_fds", 0, do_count_fds },
        { "garbage", 2, do_garbage },
        { "fill", 0, do_fill },
        { "in_flight", 0, do_in_flight },
        { "give_up", 0, do_give_up },
        { NULL, 0, NULL },
};
