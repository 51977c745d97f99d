/* SPDX-License-Identifier: MIT */
/* A module with an exit function of its own, as a C++ library with static objects has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print(const char *text) {
        (void)!write(STDOUT_FILENO, text, strlen(text));
}

static void at_exit_of_module(void) {
        print("module's\n");
}

static void at_exit_of_worker(void) {
        print("worker's\n");
}

__attribute__((constructor)) static void begin(void) {
        atexit(at_exit_of_module);
}

/* leave return|exit */
int leave(int argc, char **argv) {
        printf("buffered\n");
        atexit(at_exit_of_worker);
        if (argc > 1 && strcmp(argv[1], "exit") == 0)
                exit(0);
        return 0;
}
