/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <sys/resource.h>

static int *volatile nowhere = (int *)16;

/* A fault, not raise(3), which is no death where the signal is blocked. A sanitizer's handler would make an exit of it,
 * and has to look away. */
__attribute__((constructor, no_sanitize("address", "undefined"))) static void crash(void) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        signal(SIGSEGV, SIG_DFL);
        *nowhere = 1;
}
