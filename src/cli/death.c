/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cli.h"

/* A core of ours would say nothing of the process that died, and perhaps replace its. (RLIMIT_CORE doesn't do where
 * cores go into a pipe, core(5).) */
int cli_die_by(int number) {
        const struct sigaction by_default = { .sa_handler = SIG_DFL };
        sigset_t set;

        fflush(stdout);
        prctl(PR_SET_DUMPABLE, 0);
        sigaction(number, &by_default, NULL);
        kill(getpid(), number);
        sigemptyset(&set);
        sigaddset(&set, number);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        return 128 + number;
}

const char *cli_signal_name(int number, char text[32]) {
        const char *name = sigabbrev_np(number);

        if (name)
                snprintf(text, 32, "SIG%s", name);
        else
                snprintf(text, 32, "signal %d", number);
        return text;
}
