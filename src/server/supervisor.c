/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "server/server.h"

/* The protocol is that of sd_notify(3), which recommends to speak it without libsystemd. */

static int connect_to(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t n = strlen(path);

        if ((path[0] != '/' && path[0] != '@') || n < 2 || n >= sizeof address.sun_path)
                return -1;
        memcpy(address.sun_path, path, n);
        if (path[0] == '@')
                address.sun_path[0] = 0;
        FSRV_CLEANUP_FD int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (sock < 0 ||
            connect(sock, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
                return -1;
        return fsrv__fd_steal(&sock);
}

/* Whether standard error goes to the journal: $JOURNAL_STREAM is its device and inode (systemd.exec(5)). */
static bool has_journal(const char *stream) {
        uintmax_t device, inode;
        struct stat st;

        return stream && sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) == 2 &&
               fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void fsrv__supervisor_init(struct fsrv__server *s) {
        static const char *const names[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                             "LISTEN_PID",    "LISTEN_FDS",    "LISTEN_FDNAMES" };
        const char *path = getenv("NOTIFY_SOCKET"), *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
        struct fsrv__supervisor *supervisor = &s->supervisor;

        supervisor->socket = -1;
        if (!s->config.path)
                return; /* the supervisor is the client's */
        supervisor->has_journal = has_journal(getenv("JOURNAL_STREAM"));
        supervisor->socket = path ? connect_to(path) : -1;
        if (supervisor->socket >= 0 && usec && (!pid || atol(pid) == getpid()))
                supervisor->watchdog_ms = atoll(usec) / 2000;
        if (supervisor->watchdog_ms > 0)
                supervisor->next_sign = fsrv__now();
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                unsetenv(names[i]);
}

/* If the supervisor doesn't read, it is no concern. What a status tells may come from a module, so it has to stay on
 * its line: other lines are orders to the supervisor. */
void fsrv__supervisor_say(const struct fsrv__server *s, const char *fields, const char *status, ...) {
        char text[768], words[512];
        va_list args;

        if (s->supervisor.socket < 0)
                return;
        va_start(args, status);
        vsnprintf(words, sizeof words, status, args);
        va_end(args);
        fsrv__text_tame(words);
        snprintf(text, sizeof text, "%s%s%s", fields, words[0] ? "STATUS=" : "", words);
        (void)!send(s->supervisor.socket, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* After a takeover it is another process. */
void fsrv__supervisor_say_ready(struct fsrv__server *s) {
        char fields[64];

        snprintf(fields, sizeof fields, "READY=1\nMAINPID=%d\n", (int)getpid());
        fsrv__supervisor_say(s, fields, "Ready, with %u modules loaded", s->config.head.n_modules);
        if (s->supervisor.ready >= 0)
                (void)!write(s->supervisor.ready, "\n", 1);
        s->supervisor.ready = fsrv__fd_close(s->supervisor.ready);
}

void fsrv__supervisor_on_time(struct fsrv__server *s, int64_t now) {
        if (s->supervisor.watchdog_ms == 0 || now < s->supervisor.next_sign)
                return;
        fsrv__supervisor_say(s, "WATCHDOG=1\n", "%s", "");
        s->supervisor.next_sign = now + s->supervisor.watchdog_ms;
}
