/* SPDX-License-Identifier: MIT */
/* Each child waits in an atfork handler for a byte from the FIFO that the environment names. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void hold(void) {
        const char *fifo = getenv("HELD_FORK");
        char byte;
        int fd = fifo ? open(fifo, O_RDONLY) : -1;

        if (fd >= 0) {
                (void)!read(fd, &byte, 1);
                close(fd);
        }
}

__attribute__((constructor)) static void start(void) {
        pthread_atfork(NULL, NULL, hold);
}
