/* SPDX-License-Identifier: MIT */
#include <unistd.h>

int noop(int argc, char **argv);

/* As the peer's child, which is fork(); _exit(): neither runs atexit handlers. */
int noop(int argc, char **argv) {
        (void)argc;
        (void)argv;
        _exit(7);
}
