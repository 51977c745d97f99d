/* SPDX-License-Identifier: MIT */
/* Starts a process that stays, as some libraries do, and writes its pid into the file named by HELPER_LOG: it must hold
 * none of the fork server's working sockets, or it would keep the server alive. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void stay(const char *log) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

        dprintf(fd, "%d\n", (int)getpid());
        close(fd);
        for (;;)
                pause();
}

__attribute__((constructor)) static void start(void) {
        const char *log = getenv("HELPER_LOG");

        if (log && fork() == 0)
                stay(log);
}
