/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "listening.h"

enum { BACKLOG = 128, FLAGS = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK };

static int complain_of(const char *where, int fd) {
        int err = errno;

        cli_complain("--metrics %s: %s", where, strerror(err));
        if (fd >= 0)
                close(fd);
        return -err;
}

/* A server that takes over listens there beside the old one. */
static int listen_at_port(const char *where, unsigned long port) {
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int on = 1, fd = socket(AF_INET, FLAGS, 0);

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ||
            bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0)
                return complain_of(where, fd);
        return fd;
}

/* Beside its name first, so that it is never missing. */
static int listen_at_path(const char *where) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct stat st;
        int n = snprintf(address.sun_path, sizeof address.sun_path, "%s.%d", where, (int)getpid());

        if (n >= (int)sizeof address.sun_path) {
                cli_complain("--metrics %s: the path is too long for a socket", where);
                return -ENAMETOOLONG;
        }
        if (lstat(where, &st) == 0 && !S_ISSOCK(st.st_mode)) {
                cli_complain("--metrics %s: there is a file, which is no socket", where);
                return -EEXIST;
        }
        int fd = socket(AF_UNIX, FLAGS, 0);
        unlink(address.sun_path);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0)
                return complain_of(where, fd);
        if (rename(address.sun_path, where) < 0) {
                int err = errno;
                unlink(address.sun_path);
                errno = err;
                return complain_of(where, fd);
        }
        return fd;
}

int cli_metrics_listen(const char *where) {
        char *end;
        unsigned long port = strtoul(where, &end, 10);

        if (*where >= '0' && *where <= '9' && !*end) {
                if (port > 0 && port <= UINT16_MAX)
                        return listen_at_port(where, port);
                cli_complain("--metrics: '%s' is not a port, 1 to 65535; a path has a slash: ./%s", where, where);
                return -EINVAL;
        }
        return listen_at_path(where);
}
