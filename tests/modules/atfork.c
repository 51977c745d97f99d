/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
/* Counts what pthread_atfork(3) calls: the fork has to be the C library's. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static int prepared, in_child;
static pid_t main_thread;

static void prepare(void) {
        prepared++;
}

static void child(void) {
        in_child++;
        main_thread = gettid();
}

__attribute__((constructor)) static void install(void) {
        pthread_atfork(prepare, NULL, child);
}

int report(int argc, char **argv) {
        (void)argc;
        (void)argv;
        printf("%d %d\n", prepared > 0 && in_child > 0, main_thread == getpid());
        return 0;
}
