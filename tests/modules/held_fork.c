/* SPDX-License-Identifier: MIT */
/* Each child waits in an atfork handler for a byte from the FIFO that HELD_FORK names, while there is one; and each
 * parent, for one from HELD_PARENT's. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void hold(const char *fifo) {
        char byte;
        int fd = fifo ? open(fifo, O_RDONLY) : -1;

        if (fd >= 0) {
                (void)!read(fd, &byte, 1);
                close(fd);
        }
}

static void hold_child(void) {
        hold(getenv("HELD_FORK"));
}

static void hold_parent(void) {
        hold(getenv("HELD_PARENT"));
}

__attribute__((constructor)) static void start(void) {
        pthread_atfork(NULL, hold_parent, hold_child);
}
