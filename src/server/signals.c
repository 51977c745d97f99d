/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "server/server.h"

/* A named server's supervisor drains it by these. A private one's client sees to its end. */
static void fill_own(const struct fsrv__server *s, sigset_t *ret_set) {
        sigemptyset(ret_set);
        if (!s->config.path)
                return;
        sigaddset(ret_set, SIGTERM);
        sigaddset(ret_set, SIGINT);
        sigaddset(ret_set, SIGHUP);
}

static bool has_terminal(void) {
        FSRV_CLEANUP_FD int fd = fsrv__open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK);

        return fd >= 0;
}

/* It comes from a supervisor that wants a reload, or since the terminal has been closed: the kernel and shells send it
 * then. */
static void on_sighup(struct fsrv__server *s) {
        if (s->has_terminal && !has_terminal())
                s->wish = FSRV_WISH_DRAIN;
        else
                s->wants_reload = true;
}

/* A first signalfd is watched; another set of signals goes into the same one. */
static int receive_signals(struct fsrv__server *s, const sigset_t *set) {
        int before = s->signals;

        sigprocmask(SIG_SETMASK, set, NULL);
        s->signals = signalfd(before, set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (s->signals < 0) {
                s->signals = before;
                return -errno;
        }
        return before < 0 ? fsrv__watch(s, s->signals, EPOLLIN, FSRV_SOURCE_SIGNAL, 0) : 0;
}

int fsrv__signals_take(struct fsrv__server *s) {
        static const int ignored[] = { SIGPIPE, SIGINT, SIGTERM, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGHUP };
        sigset_t set;

        for (int n = 1; n <= SIGRTMAX; n++)
                signal(n, SIG_DFL);
        signal(SIGPIPE, SIG_IGN);
        if (!s->config.path)
                for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
                        signal(ignored[i], SIG_IGN);
        fill_own(s, &set);
        s->has_terminal = s->config.path && has_terminal();
        s->signals = -1;
        if (getpid() == 1)
                return fsrv__signals_take_children(s);
        sigprocmask(SIG_SETMASK, &set, NULL);
        return s->config.path ? receive_signals(s, &set) : 0;
}

/* One that came before may have been the one that matters, so the first comes from ourselves. */
int fsrv__signals_take_children(struct fsrv__server *s) {
        sigset_t set;
        int r;

        if (s->has_sigchld)
                return 0;
        fill_own(s, &set);
        sigaddset(&set, SIGCHLD);
        r = receive_signals(s, &set);
        s->has_sigchld = r == 0;
        if (r == 0)
                raise(SIGCHLD);
        return r;
}

void fsrv__signals_receive(struct fsrv__server *s) {
        struct signalfd_siginfo info;

        while (read(s->signals, &info, sizeof info) == sizeof info) {
                if (info.ssi_signo == SIGCHLD)
                        s->has_changes = true;
                else if (info.ssi_signo == SIGHUP)
                        on_sighup(s);
                else
                        s->wish = s->n_ends++ == 0 ? FSRV_WISH_DRAIN : FSRV_WISH_KILL;
        }
}
