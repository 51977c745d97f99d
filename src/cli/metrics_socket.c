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

enum { FLAGS = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK };

static int complain_of(const char *where, int fd) {
        int err = errno;

        cli_complain("--metrics %s: %s", where, strerror(err));
        if (fd >= 0)
                close(fd);
        return -err;
}

/* A server that takes over listens there beside the old one. So the port is reusable, and
 * it is tried whether another process listens there. */
static int listen_at_port(const char *where, unsigned long port, bool takes_over) {
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int on = 1, fd = socket(AF_INET, FLAGS & ~SOCK_NONBLOCK, 0);

        if (fd >= 0 && !takes_over && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
                errno = EADDRINUSE;
                return complain_of(where, fd);
        }
        if (fd >= 0)
                close(fd);
        fd = socket(AF_INET, FLAGS, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ||
            bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, SOMAXCONN) < 0)
                return complain_of(where, fd);
        return fd;
}

/* Whether a process listens there. */
static bool is_alive(const struct sockaddr_un *address) {
        int fd = socket(AF_UNIX, FLAGS, 0);
        bool is = fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN);

        if (fd >= 0)
                close(fd);
        return is;
}

/* Another server's is taken from it where this one takes over. */
static int listen_at_path(const char *where, bool takes_over) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct stat st;

        if (strlen(where) >= sizeof address.sun_path) {
                errno = ENAMETOOLONG;
                return complain_of(where, -1);
        }
        strcpy(address.sun_path, where);
        int fd = socket(AF_UNIX, FLAGS, 0);
        if (lstat(where, &st) == 0 && S_ISSOCK(st.st_mode) && (takes_over || !is_alive(&address)))
                unlink(where);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, SOMAXCONN) < 0)
                return complain_of(where, fd);
        return fd;
}

int cli_metrics_listen(const char *where, bool takes_over) {
        char *end;
        unsigned long port = strtoul(where, &end, 10);

        if (*where >= '0' && *where <= '9' && !*end) {
                if (port > 0 && port <= UINT16_MAX)
                        return listen_at_port(where, port, takes_over);
                cli_complain("--metrics: '%s' is not a port, 1 to 65535; a path has a slash: ./%s", where, where);
                return -EINVAL;
        }
        return listen_at_path(where, takes_over);
}
