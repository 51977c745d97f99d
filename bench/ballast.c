/* SPDX-License-Identifier: MIT */
/* A module with as many MiB of memory as $BALLAST_MIB says, touched page by page; and what a child may do with it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *memory;
static size_t size;

int forkserver_preload(void);
int forkserver_preload(void) {
        const char *text = getenv("BALLAST_MIB");

        size = text ? strtoul(text, NULL, 10) << 20 : 0;
        memory = malloc(size + 1);
        for (size_t at = 0; memory && at < size; at += 4096)
                memory[at] = 1;
        return memory ? 0 : -1;
}

int noop(int argc, char **argv);
int noop(int argc, char **argv) {
        (void)argc;
        (void)argv;
        return 7;
}

/* As the peers' child, without exit(3)'s work. */
int quit(int argc, char **argv);
int quit(int argc, char **argv) {
        (void)argc;
        (void)argv;
        _exit(7);
}

/* Every hundredth of it, in one piece. */
int write_some(int argc, char **argv);
int write_some(int argc, char **argv) {
        (void)argc;
        (void)argv;
        for (size_t at = 0; at < size / 100; at += 4096)
                memory[at] = 2;
        return 7;
}

int read_all(int argc, char **argv);
int read_all(int argc, char **argv) {
        (void)argc;
        (void)argv;
        for (size_t at = 0; at < size; at += 4096)
                (void)*(volatile char *)(memory + at);
        return 7;
}

int wait_for_ever(int argc, char **argv);
int wait_for_ever(int argc, char **argv) {
        (void)argc;
        (void)argv;
        for (;;)
                pause();
}
