/* SPDX-License-Identifier: MIT */
/* What ThreadSanitizer has to be told of the way in which the library starts a program. */
#define _GNU_SOURCE
#include <sched.h>

/* It takes every clone(2) for a fork(2): in the child, which shares our memory here, it would forget our threads. */
int __clone(int (*function)(void *), void *stack, int flags, void *data, ...);

int clone(int (*function)(void *), void *stack, int flags, void *data, ...) {
        return __clone(function, stack, flags, data);
}

/* That child has a table of fds of its own: its numbers are not the other threads'. */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void) {
        return "race:place_fds\n";
}

/* A child of fork(2) has not joined its parent's threads. */
const char *__tsan_default_options(void);

const char *__tsan_default_options(void) {
        return "report_thread_leaks=0";
}
