/* SPDX-License-Identifier: MIT */
/* The same attempts at other times, and what keeps the fork server busy. */
#define _GNU_SOURCE
#include "escapes.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

int escape(int argc, char **argv);

/* escape_after NAME…: when standard input has ended */
int escape_after(int argc, char **argv) {
        char byte;

        while (read(STDIN_FILENO, &byte, 1) > 0)
                ;
        return escape(argc, argv);
}

/* ESCAPE_ON_LOAD: one attempt, in a module that is loaded for the request. Standard output is the request's by then. */
__attribute__((constructor)) static void escape_on_load(void) {
        char *argv[] = { (char *)"escape", getenv("ESCAPE_ON_LOAD"), NULL };

        if (argv[1])
                escape(2, argv);
}

int nothing(int argc, char **argv) {
        (void)argc;
        (void)argv;
        return 0;
}

static void *flood_on(void *data) {
        for (;;)
                syscall(SYS_socket, 1, 1, 0);
        return data;
}

/* Refused calls as fast as can be, in four threads, for ever. */
int flood(int argc, char **argv) {
        pthread_t thread;

        (void)argc;
        (void)argv;
        for (int i = 0; i < 3; i++)
                pthread_create(&thread, NULL, flood_on, NULL);
        flood_on(NULL);
        return 0;
}

static void nothing_on_signal(int number) {
        (void)number;
}

/* Signals come while calls are refused: prints how many of 1,000 were let through. */
int interrupted(int argc, char **argv) {
        struct sigaction action = { .sa_handler = nothing_on_signal };
        struct itimerval often = { { 0, 100 }, { 0, 100 } };
        int n = 0;

        (void)argc;
        (void)argv;
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &often, NULL);
        for (int i = 0; i < 1000; i++)
                if (syscall(SYS_socket, 1, 1, 0) >= 0 || (errno != EPERM && errno != EINTR && errno != ENOSYS))
                        n++;
        printf("%d\n", n);
        return 0;
}

static void *end_thread(void *data) {
        syscall(SYS_exit, 0);
        return data;
}

/* Processes end in the middle of a refused call: each has a thread that makes one, and is killed by its first one. */
int die_refused(int argc, char **argv) {
        pthread_t thread;

        (void)argc;
        (void)argv;
        pthread_create(&thread, NULL, flood_on, NULL);
        pthread_create(&thread, NULL, end_thread, NULL);
        usleep(300);
        _exit(0);
}

/* A child of another session, which makes a refused call when the worker has ended. It says on standard output whether
 * it still runs after that. */
int refused_in_orphan(int argc, char **argv) {
        int ends[2];
        char byte;

        (void)argc;
        (void)argv;
        if (pipe(ends) < 0)
                return 1;
        if (fork() > 0)
                return 0;
        setsid();
        close(ends[1]);
        (void)!read(ends[0], &byte, 1); /* until the worker has ended */
        long r = syscall(SYS_socket, 1, 1, 0);
        printf("%s\n", r < 0 ? strerrorname_np(errno) : "worked");
        fflush(stdout);
        return 0;
}
