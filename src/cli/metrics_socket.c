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

/* A server that takes over has the port beside the old one. So the port is reusable, and
 * it is tried whether another process listens there. */
static int bind_at_port(const char *where, unsigned long port, bool takes_over) {
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
            bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
                return complain_of(where, fd);
        return fd;
}

/* 0, or a complaint. Another kind of socket is another program's. */
static int check_path(const char *where, const struct sockaddr_un *address, bool takes_over) {
        struct stat st;
        int fd, r;

        if (lstat(where, &st) < 0)
                return 0;
        errno = EEXIST;
        if (!S_ISSOCK(st.st_mode))
                return complain_of(where, -1);
        fd = socket(AF_UNIX, FLAGS, 0);
        r = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)address, sizeof *address);
        if (r < 0 && errno == ECONNREFUSED) { /* nobody listens there any more */
                close(fd);
                return 0;
        }
        if (r == 0 || errno == EAGAIN || errno == EPROTOTYPE) {
                if (fd >= 0 && takes_over && errno != EPROTOTYPE) {
                        close(fd);
                        return 0;
                }
                errno = EADDRINUSE;
        }
        return complain_of(where, fd);
}

/* Beside its path, which the server gives it when it serves: until then that may be another server's. */
static int bind_at_path(const char *where, bool takes_over) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t n = strlen(where);

        if (n + sizeof ".4194304" > sizeof address.sun_path) {
                errno = ENAMETOOLONG;
                return complain_of(where, -1);
        }
        strcpy(address.sun_path, where);
        int r = check_path(where, &address, takes_over);
        if (r < 0)
                return r;
        snprintf(address.sun_path + n, sizeof address.sun_path - n, ".%d", (int)getpid());
        unlink(address.sun_path); /* of an earlier process with our pid, that was killed */
        int fd = socket(AF_UNIX, FLAGS, 0);
        return fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? complain_of(where, fd) : fd;
}

int cli_metrics_bind(const char *where, bool takes_over) {
        char *end;
        unsigned long port = strtoul(where, &end, 10);

        if (*where >= '0' && *where <= '9' && !*end) {
                if (port > 0 && port <= UINT16_MAX)
                        return bind_at_port(where, port, takes_over);
                cli_complain("--metrics: '%s' is not a port, 1 to 65535; a path has a slash: ./%s", where, where);
                return -EINVAL;
        }
        if (!*where || *where == '-') {
                cli_complain("--metrics: '%s' is neither a port nor a path", where);
                return -EINVAL;
        }
        return bind_at_path(where, takes_over);
}

void cli_metrics_drop(int fd) {
        struct sockaddr_un address = { 0 };
        socklen_t size = sizeof address;

        if (getsockname(fd, (struct sockaddr *)&address, &size) == 0 && address.sun_family == AF_UNIX)
                unlink(address.sun_path);
        close(fd);
}
