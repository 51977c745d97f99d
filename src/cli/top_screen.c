/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "top_screen.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

/* the other screen; no cursor; lines that are cut at the edge */
static const char enter_text[] = "\033[?1049h\033[?25l\033[?7l\033[2J";
static const char again_text[] = "\033[?25l\033[?7l\033[2J";
static const char leave_text[] = "\033[?7h\033[?25h\033[?1049l";

static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGALRM, SIGUSR1, SIGUSR2 };

bool top_screen_is_possible(void) {
        const char *name = getenv("TERM");

        return isatty(STDOUT_FILENO) && name && name[0] && strcmp(name, "dumb") != 0;
}

bool top_screen_write(const char *text, size_t n) {
        while (n > 0) {
                ssize_t r = write(STDOUT_FILENO, text, n);
                if (r < 0 && errno == EAGAIN)
                        poll(&(struct pollfd){ .fd = STDOUT_FILENO, .events = POLLOUT }, 1, -1);
                else if (r < 0 && errno != EINTR)
                        return false;
                if (r > 0) {
                        text += r;
                        n -= (size_t)r;
                }
        }
        return true;
}

/* Ctrl-C and Ctrl-Z stay signals. They drop keys that poll(2) has told of: so no read waits for one. */
static void set_modes(const struct top_screen *screen) {
        struct termios modes = screen->modes;

        modes.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        modes.c_cc[VMIN] = 0;
        modes.c_cc[VTIME] = 0;
        tcsetattr(STDOUT_FILENO, TCSANOW, &modes);
}

static int enter(struct top_screen *screen) {
        if (tcgetattr(STDOUT_FILENO, &screen->modes) < 0)
                return -errno;
        set_modes(screen); /* in the background this stops us until we are in front */
        top_screen_write(enter_text, sizeof enter_text - 1);
        screen->is_open = true;
        return 0;
}

/* The kernel doesn't stop a background process that blocks SIGTTOU for this. */
static void leave(struct top_screen *screen) {
        sigset_t set, before;

        if (!screen->is_open)
                return;
        screen->is_open = false;
        sigemptyset(&set);
        sigaddset(&set, SIGTTOU);
        sigprocmask(SIG_BLOCK, &set, &before);
        top_screen_write(leave_text, sizeof leave_text - 1);
        tcsetattr(STDOUT_FILENO, TCSANOW, &screen->modes);
        sigprocmask(SIG_SETMASK, &before, NULL);
}

/* A signal that the caller has us ignore stays ignored; a signalfd would hear of it. */
static void add_signal(sigset_t *set, int signal) {
        struct sigaction action;

        if (sigaction(signal, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
                sigaddset(set, signal);
}

int top_screen_open(struct top_screen *screen) {
        *screen = (struct top_screen){ .keys = isatty(STDIN_FILENO) ? STDIN_FILENO : -1 };
        sigemptyset(&screen->blocked);
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
                add_signal(&screen->blocked, ends[i]);
        add_signal(&screen->blocked, SIGTSTP);
        sigaddset(&screen->blocked, SIGWINCH);
        sigaddset(&screen->blocked, SIGCONT);
        screen->signals = signalfd(-1, &screen->blocked, SFD_CLOEXEC | SFD_NONBLOCK);
        if (screen->signals < 0)
                return -errno;
        sigprocmask(SIG_BLOCK, &screen->blocked, &screen->before);
        int r = enter(screen);
        if (r < 0)
                top_screen_close(screen);
        return r;
}

void top_screen_close(struct top_screen *screen) {
        leave(screen);
        close(screen->signals);
        sigprocmask(SIG_SETMASK, &screen->before, NULL);
}

int top_screen_is_over(void *data) {
        struct top_screen *screen = data;
        sigset_t pending;

        sigpending(&pending);
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
                if (sigismember(&pending, ends[i]) == 1 && sigismember(&screen->blocked, ends[i]) == 1)
                        return 1;
        return 0;
}

/* ---- signals ---- */

/* Ctrl-Z: the shell gets its terminal back, and we get ours when it continues us. */
static void stop(struct top_screen *screen) {
        const struct timespec now = { 0 };
        sigset_t set;

        leave(screen);
        sigemptyset(&set);
        sigaddset(&set, SIGTSTP);
        raise(SIGTSTP);
        sigprocmask(SIG_UNBLOCK, &set, NULL); /* here we stop */
        sigprocmask(SIG_BLOCK, &set, NULL);
        enter(screen);
        sigemptyset(&set);
        sigaddset(&set, SIGCONT);
        sigtimedwait(&set, NULL, &now); /* it is done */
}

static enum top_event take_signal(struct top_screen *screen, bool *ret_is_event) {
        struct signalfd_siginfo info;

        *ret_is_event = read(screen->signals, &info, sizeof info) == sizeof info;
        if (!*ret_is_event)
                return TOP_DRAW;
        switch (info.ssi_signo) {
        case SIGTSTP:
                stop(screen);
                return TOP_DRAW;
        case SIGCONT: /* after SIGSTOP, where the shell has set the modes, but not the screen */
                set_modes(screen);
                top_screen_write(again_text, sizeof again_text - 1);
                return TOP_DRAW;
        case SIGWINCH:
                return TOP_DRAW;
        default:
                screen->signal = (int)info.ssi_signo;
                return TOP_ENDED;
        }
}

enum top_event top_screen_wait(struct top_screen *screen, int64_t ms, char *ret_key) {
        struct pollfd polls[] = {
                { .fd = screen->signals, .events = POLLIN },
                { .fd = screen->keys, .events = POLLIN },
        };
        bool is_event;

        if (poll(polls, sizeof polls / sizeof *polls, ms > 0 ? (int)ms : 0) <= 0)
                return TOP_TIME;
        if (polls[0].revents) {
                enum top_event event = take_signal(screen, &is_event);
                if (is_event)
                        return event;
        }
        if (!polls[1].revents)
                return TOP_TIME;
        ssize_t n = read(screen->keys, ret_key, 1);
        if (n == 1)
                return TOP_KEY;
        if (polls[1].revents & (POLLHUP | POLLERR | POLLNVAL))
                return TOP_ENDED;
        return n == 0 || errno == EAGAIN || errno == EINTR ? TOP_TIME : TOP_ENDED;
}
