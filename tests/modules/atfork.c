/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
/* Counts what pthread_atfork(3) calls: the fork has to be the C library's. While there is the file that ATFORK_FAILS
 * names, the child adds a line to it, and exits with the number that it begins with, is killed (-9), or crashes; with
 * ATFORK_SPARES only the child's child. With ATFORK_HANGS it hangs instead, in the handler of that name. */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int prepared, in_child;
static pid_t main_thread;

static void hang_in(const char *handler) {
        const char *where = getenv("ATFORK_HANGS");

        while (where && strcmp(where, handler) == 0 && access(getenv("ATFORK_FAILS"), F_OK) == 0)
                pause();
}

static void prepare(void) {
        prepared++;
        hang_in("prepare");
}

static void parent(void) {
        hang_in("parent");
}

static void fail(void) {
        const char *path = getenv("ATFORK_FAILS");
        FILE *file = path && (in_child > 0 || !getenv("ATFORK_SPARES")) ? fopen(path, "r+e") : NULL;
        int code;

        if (!file)
                return;
        bool crashes = fscanf(file, "%d", &code) != 1;
        fseek(file, 0, SEEK_END);
        fputs("\n", file);
        fclose(file);
        if (crashes)
                abort();
        if (code < 0)
                kill(getpid(), -code);
        _exit(code);
}

static void child(void) {
        hang_in("child");
        fail();
        in_child++;
        main_thread = gettid();
}

__attribute__((constructor)) static void install(void) {
        pthread_atfork(prepare, parent, child);
}

int report(int argc, char **argv) {
        (void)argc;
        (void)argv;
        printf("%d %d\n", prepared > 0 && in_child > 0, main_thread == getpid());
        return 0;
}
