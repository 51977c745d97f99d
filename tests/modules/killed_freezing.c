/* SPDX-License-Identifier: MIT */
/*
 * For LD_PRELOAD: a zygote is killed when it begins to freeze its memory. KILLED_FREEZING is "freeze"; "collapse", and
 * it is killed when it collapses it, too; or the path of a file, which goes, and saves those that come later.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static const char *how(void) {
        const char *value = getenv("KILLED_FREEZING");

        return value ? value : "";
}

int memfd_create(const char *name, unsigned flags) {
        if (strcmp(name, "forkserver-frozen") == 0 && (how()[0] != '/' || unlink(how()) == 0))
                kill(getpid(), SIGKILL);
        return (int)syscall(SYS_memfd_create, name, flags);
}

int madvise(void *start, size_t size, int advice) {
        if (advice == MADV_COLLAPSE && strcmp(how(), "collapse") == 0)
                kill(getpid(), SIGKILL);
        return (int)syscall(SYS_madvise, start, size, advice);
}
