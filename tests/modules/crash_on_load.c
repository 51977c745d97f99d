/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>

/* A fault, not raise(3), which is no death where the signal is blocked. A sanitizer's handler would make an exit of it,
 * and has to look away. */
__attribute__((constructor, no_sanitize("address", "undefined"))) static void crash(void) {
        volatile int *volatile nowhere = (int *)(uintptr_t)16;

        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        signal(SIGSEGV, SIG_DFL);
        *nowhere = 1;
}
