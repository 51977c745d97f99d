/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include "cli.h"

/* The foreground of our controlling terminal, which a job in a process group of its own may need, as under a shell. */

static bool is_lent;

/* The kernel stops a background group for this, unless it blocks the signal. */
static int make_foreground(int terminal, pid_t pgid) {
        sigset_t set, before;

        sigemptyset(&set);
        sigaddset(&set, SIGTTOU);
        pthread_sigmask(SIG_BLOCK, &set, &before);
        int r = tcsetpgrp(terminal, pgid) < 0 ? -errno : 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return r;
}

static int open_terminal(void) {
        int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

        return terminal < 0 ? -errno : terminal;
}

bool cli_terminal_is_ours(void) {
        int terminal = open_terminal();
        bool is_ours = terminal >= 0 && (is_lent || tcgetpgrp(terminal) == getpgrp());

        if (terminal >= 0)
                close(terminal);
        return is_ours;
}

int cli_terminal_lend(pid_t pgid) {
        int terminal = open_terminal();

        if (terminal < 0)
                return terminal;
        int r = is_lent || tcgetpgrp(terminal) == getpgrp() ? make_foreground(terminal, pgid) : -EPERM;
        is_lent = is_lent || r == 0;
        close(terminal);
        return r;
}

bool cli_terminal_take_back(void) {
        int terminal = is_lent ? open_terminal() : -1;
        bool was_lent = is_lent;

        is_lent = false;
        if (terminal >= 0) {
                make_foreground(terminal, getpgrp());
                close(terminal);
        }
        return was_lent;
}
