/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "listening.h"

/* The protocol is that of sd_listen_fds(3). */
enum { FIRST_FD = 3, MOST_FDS = 64 };

/* How many there are. They are for the process that the variable names. */
static int count_fds(void) {
        const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");

        if (!pid || !n || strtol(pid, NULL, 10) != getpid())
                return 0;
        long count = strtol(n, NULL, 10);
        if (count < 0)
                return 0;
        return count < MOST_FDS ? (int)count : MOST_FDS;
}

/* A listening socket of the kind that we serve at; its path. */
static bool is_ours(int fd, char ret_path[sizeof((struct sockaddr_un *)0)->sun_path + 1]) {
        struct sockaddr_un address = { 0 };
        socklen_t size = sizeof address, n = sizeof(int);
        int type = 0, listens = 0;

        if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 || address.sun_family != AF_UNIX ||
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_SEQPACKET ||
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) < 0 || !listens || address.sun_path[0] != '/')
                return false;
        memcpy(ret_path, address.sun_path, sizeof address.sun_path);
        ret_path[sizeof address.sun_path] = 0;
        return true;
}

int cli_activation_take(struct fsrv_listen_options *listen) {
        static char path[sizeof((struct sockaddr_un *)0)->sun_path + 1];
        int n = count_fds();

        for (int fd = FIRST_FD; fd < FIRST_FD + n; fd++) {
                if (!is_ours(fd, path) || (listen->path && strcmp(listen->path, path) != 0))
                        continue;
                listen->path = path;
                listen->listener = fd;
                listen->flags |= FSRV_LISTEN_ON_FD;
                return 0;
        }
        if (n == 0 || listen->path)
                return 0; /* none is for us; then one is made */
        cli_complain(
                "none of the %d sockets that were handed over is a listening SOCK_SEQPACKET socket with a path "
                "(ListenSequentialPacket= in a systemd unit)",
                n);
        return -EPROTOTYPE;
}
