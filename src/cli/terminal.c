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

int cli_terminal_lend(pid_t pgid) {
        int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);

        if (terminal < 0)
                return -errno;
        int r = is_lent || tcgetpgrp(terminal) == getpgrp() ? make_foreground(terminal, pgid) : -EPERM;
        is_lent = is_lent || r == 0;
        close(terminal);
        return r;
}

void cli_terminal_take_back(void) {
        int terminal = is_lent ? open("/dev/tty", O_RDWR | O_CLOEXEC) : -1;

        is_lent = false;
        if (terminal < 0)
                return;
        make_foreground(terminal, getpgrp());
        close(terminal);
}
