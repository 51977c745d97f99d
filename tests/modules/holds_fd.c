/* SPDX-License-Identifier: MIT */
/* Keeps a file open, inheritable, at a number that a request may want. */
#include <fcntl.h>
#include <unistd.h>

__attribute__((constructor)) static void hold(void) {
        int fd = open("/dev/null", O_RDONLY);

        dup2(fd, 77);
        close(fd);
}
