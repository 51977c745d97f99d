/* SPDX-License-Identifier: MIT */
/* What modules do to signals must reach no worker. */
#include <signal.h>
#include <stddef.h>

static void ignore(int number) {
        (void)number;
}

__attribute__((constructor)) static void install(void) {
        sigset_t set;

        signal(SIGTERM, ignore);
        signal(SIGCHLD, SIG_IGN);
        signal(SIGUSR1, SIG_IGN);
        signal(SIGSYS, ignore);
        sigfillset(&set);
        sigprocmask(SIG_SETMASK, &set, NULL);
}
