/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <sys/resource.h>

/* The default action, whatever a sanitizer has installed: the zygote has to die by the signal. */
__attribute__((constructor)) static void crash(void) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
}
