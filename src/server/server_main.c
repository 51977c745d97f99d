/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "base/title.h"
#include "server/server.h"
#include "wire/messages.h"

/* Started by the library with the admin socket, on which its configuration waits, at fd 3, and for a private server the
 * doorbell's receiving end at fd 4. */
enum { ADMIN_FD = 3, DOORBELL_FD = 4 };

enum {
        RESERVED_FDS = 64,   /* for everything that isn't a child: peers, zygote, epoll… */
        LOANS = 16,          /* a standby's CPU time for them, some 50 us each, is that of the worker it becomes */
        ROOM_PER_LOAN = 256, /* fds: for each loan that a standby may give there has to be room */
};

static int complain_of(const char *what, int err) {
        dprintf(STDERR_FILENO, "forkserver-server: %s: %s\n", what, strerrordesc_np(err));
        return 125;
}

static void raise_limit(struct fsrv__server *s) {
        struct rlimit limit = { 1024, 1024 };

        getrlimit(RLIMIT_NOFILE, &limit);
        s->config.head.nofile = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                limit.rlim_cur = s->config.head.nofile;
        rlim_t most = limit.rlim_cur > 1u << 20 ? 1u << 20 : limit.rlim_cur;
        s->room = most > RESERVED_FDS ? (unsigned)(most - RESERVED_FDS) : 0;
        s->config.head.loans = s->room / ROOM_PER_LOAN < LOANS ? s->room / ROOM_PER_LOAN : LOANS;
        if (!fsrv__cores_end_one()) /* that of a standby's next request would end the program before */
                s->config.head.loans = 0;
}

/* Beside our own program, so that an installation can be moved; found once, so that an upgrade in its place doesn't.
 * Without /proc the name that we were executed by has to do, relative to the same directory as it may be. */
static int find_zygote(struct fsrv__server *s) {
        const char *executed = (const char *)getauxval(AT_EXECFN); // NOLINT(performance-no-int-to-ptr): the kernel's
        size_t room = sizeof s->zygote_program - sizeof "/forkserver-zygote";
        ssize_t n = readlink("/proc/self/exe", s->zygote_program, room);

        if (n < 0 && (!executed || !strchr(executed, '/') || strlen(executed) > room))
                return -errno;
        if (n < 0)
                n = stpcpy(s->zygote_program, executed) - s->zygote_program;
        s->zygote_program[n] = 0;
        strcpy(strrchr(s->zygote_program, '/'), "/forkserver-zygote");
        return 0;
}

/* The first zygote's. A private server's doorbell is given, a named one's made here. */
static int add_zygote(struct fsrv__server *s) {
        int on = 1, pair[2];

        if (!s->config.path) {
                int r = fsrv__fd_set_cloexec(DOORBELL_FD, 1);
                return r < 0 ? r : fsrv__zygote_add(s, DOORBELL_FD, -1, -1);
        }
        int r = fsrv__socketpair(pair);
        if (r < 0)
                return r;
        if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
                return -errno;
        return fsrv__zygote_add(s, pair[0], pair[1], -1);
}

/* Modules print to standard error, and read nothing. If we held an output open, its reader would wait for our end. */
static int take_streams(void) {
        FSRV_CLEANUP_FD int null = -1;

        do /* above the three, which may be closed */
                null = fsrv__open_null();
        while (null >= 0 && null <= STDERR_FILENO && fsrv__fd_set_cloexec(null, 0) == 0);
        if (null < 0)
                return null;
        return dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ? -errno : 0;
}

static int set_server_up(struct fsrv__server *s) {
        int r;

        raise_limit(s);
        fsrv__supervisor_init(s);
        s->files.inotify = -1;
        s->files.look = s->files.reload = FSRV_NEVER;
        s->started = fsrv__now();
        s->listener = -1;
        s->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (s->epoll < 0)
                return -errno;
        if ((r = take_streams()) < 0 || (r = find_zygote(s)) < 0 || (r = add_zygote(s)) < 0)
                return r;
        return fsrv__signals_take(s);
}

/* Its configuration, and the fds that came along: of another zygote program than ours, of what it is to know, and of
 * its first output. */
static int receive_config(struct fsrv__server *s, int *ret_listener) {
        static char bytes[FSRV_WIRE_MESSAGE_MAX];
        struct fsrv__message message;
        int slots[FSRV_SLOTS];
        int64_t deadline = fsrv__deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS);
        int r = fsrv__channel_receive_by(ADMIN_FD, bytes, sizeof bytes, deadline, &message);

        if (r != 1)
                return r < 0 ? r : -EPIPE;
        r = fsrv__message_unpack(FSRV_TABLE_NEW_SERVER, bytes, &message, slots);
        if (r < 0)
                return r;
        s->program = slots[FSRV_SLOT_PROGRAM];
        s->data = slots[FSRV_SLOT_DATA];
        s->output = slots[FSRV_SLOT_OUTPUT];
        s->sandbox = slots[FSRV_SLOT_BODY];
        s->supervisor.ready = slots[FSRV_SLOT_READY];
        s->metrics = slots[FSRV_SLOT_METRICS];
        *ret_listener = slots[FSRV_SLOT_LISTENER];
        return fsrv__config_decode(bytes, message.size, &s->config);
}

/* To the client that waits for it; a named server has none, and says it on standard error. */
static void say_ready(const struct fsrv__server *s, int err, const char *what) {
        struct fsrv__wire_reply reply = { .version = FSRV_WIRE_VERSION, .err = err, .server_pid = getpid() };

        if (err) {
                reply.stage = err == EPROTONOSUPPORT ? FSRV_STAGE_VERSION : FSRV_STAGE_START;
                snprintf(reply.text, sizeof reply.text, "the fork server: %s: %s", what, strerrordesc_np(err));
        }
        if (!s->config.path)
                fsrv__channel_send(ADMIN_FD, &reply, sizeof reply, NULL, 0, MSG_DONTWAIT);
}

/* 0, or the exit code. One that takes over has nothing to listen at before its modules are loaded. */
static int begin_named(struct fsrv__server *s, int listener) {
        int r = 0, m = 0;

        s->takes_over = s->config.head.options & FSRV_WIRE_TAKEOVER && listener < 0 && fsrv__takeover_has_other(s);
        if (!s->takes_over && (r = fsrv__listen(s, listener)) == 0)
                m = fsrv__scrapes_listen(s);
        if (r < 0 || m < 0) {
                fsrv__scrapes_unlisten(s);
                fsrv__unlisten(s);
                return r < 0 ? complain_of(s->config.path, -r) : complain_of("the metrics socket", -m);
        }
        fsrv__log(s, FSRV_INFO, "%s %s, pid %d", s->takes_over ? "loading, to take over" : "listening on",
                  s->config.path, (int)getpid());
        return 0;
}

int main(int argc, char **argv) {
        static struct fsrv__server s;
        int listener, r;

        (void)argc;
        fsrv__title_init(argv);
        fsrv__title_set("forkserver: server", NULL);
        if (fsrv__fd_set_cloexec(ADMIN_FD, 1) < 0) {
                dprintf(STDERR_FILENO,
                        "forkserver-server: libforkserver starts this program; use 'forkserver serve' instead\n");
                return 125;
        }
        r = receive_config(&s, &listener);
        if (r < 0) {
                say_ready(&s, -r, "its configuration");
                return complain_of("configuration", -r);
        }
        if ((r = fsrv__pidfd_check()) < 0) { /* or no exit status would ever be told */
                say_ready(&s, -r, "this kernel or sandbox lacks pidfds, which Forkserver needs");
                return complain_of("this kernel or sandbox lacks pidfds, which Forkserver needs", -r);
        }
        r = set_server_up(&s);
        if (r < 0) {
                say_ready(&s, -r, "setting up");
                return complain_of("setting up", -r);
        }
        if (s.config.path) {
                close(ADMIN_FD);
                if ((r = begin_named(&s, listener)) != 0)
                        return r;
        } else {
                say_ready(&s, 0, "");
                fsrv__peer_add(&s, ADMIN_FD, fsrv__euid(), FSRV_NEVER);
        }
        return fsrv__serve(&s);
}
