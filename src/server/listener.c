/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/linux.h"
#include "server/server.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

enum { LOCK_TRIES = 200, LOCK_MS = 5 }; /* others hold it for less than a millisecond */

/* Others that want to listen in the same directory wait for us, and we for them. There is no file for that which could
 * be left behind. A process that may only read the directory can hold the lock for ever, so a server goes on without it
 * in the end. The fd or -1. */
static int lock_directory(const char *path) {
        char copy[sizeof((struct sockaddr_un *)0)->sun_path];
        int fd = fsrv__open(dirname(strcpy(copy, path)), O_RDONLY | O_DIRECTORY);

        for (int i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
                poll(NULL, 0, LOCK_MS);
        return fd < 0 ? -1 : fd;
}

/* 0; -errno: a server listens there, or what is there is no socket. */
static int check_path(const struct sockaddr_un *address) {
        FSRV_CLEANUP_FD int probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct stat st;

        if (lstat(address->sun_path, &st) < 0)
                return 0;
        if (!S_ISSOCK(st.st_mode))
                return S_ISDIR(st.st_mode) ? -EISDIR : -EEXIST;
        if (connect(probe, (const struct sockaddr *)address, sizeof *address) == 0 || errno != ECONNREFUSED)
                return -EADDRINUSE;
        return 0;
}

/* Under a name of its own, next to the one that it is to have. That may be too long for an address, which the way by
 * /proc is not. */
static int bind_beside(int sock, const char *path, char ret_name[PATH_MAX]) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const char *slash = strrchr(path, '/');
        int n = slash ? (int)(slash - path + 1) : 0;

        snprintf(ret_name, PATH_MAX, "%.*s.fsrv-%d", n, path, (int)getpid());
        unlink(ret_name); /* of an earlier process with our pid, that was killed */
        if (strlen(ret_name) < sizeof address.sun_path) {
                strcpy(address.sun_path, ret_name);
                return bind(sock, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
        }
        char directory[PATH_MAX];
        snprintf(directory, sizeof directory, "%.*s", n, path);
        FSRV_CLEANUP_FD int fd = fsrv__open(directory, O_PATH | O_DIRECTORY);
        snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/.fsrv-%d", fd, (int)getpid());
        return bind(sock, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
}

/* The socket has its mode and listens before it has its name: no client finds it too early, and no other server takes
 * it for a dead one's. A dead one's is replaced. 0 or -errno. */
static int bind_and_listen(struct fsrv__server *s, int sock, const struct sockaddr_un *address) {
        char name[PATH_MAX];
        struct stat st;

        int r = check_path(address);
        if (r < 0)
                return r;
        mode_t mask = umask(0777);
        r = bind_beside(sock, address->sun_path, name);
        umask(mask);
        if (r < 0)
                return r;
        if (chmod(name, s->config.head.mode ? s->config.head.mode : 0600) < 0 || lstat(name, &st) < 0 ||
            listen(sock, SOMAXCONN) < 0 || rename(name, address->sun_path) < 0) {
                r = -errno;
                unlink(name);
                return r;
        }
        s->socket_device = st.st_dev;
        s->socket_inode = st.st_ino;
        return 0;
}

static int make_listener(struct fsrv__server *s) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const char *path = s->config.path;

        if (strlen(path) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        FSRV_CLEANUP_FD int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (sock < 0)
                return -errno;
        FSRV_CLEANUP_FD int lock = lock_directory(path);
        int r = bind_and_listen(s, sock, &address);
        (void)lock;
        return r < 0 ? r : fsrv__fd_steal(&sock);
}

/* What it has to be, if another process has made it. */
static int check_listener(int fd) {
        int domain = 0, type = 0, listens = 0;
        socklen_t size = sizeof(int);

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0)
                return -errno;
        if (domain != AF_UNIX || type != SOCK_SEQPACKET || !listens)
                return -EPROTOTYPE;
        return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : fd;
}

int fsrv__listen(struct fsrv__server *s, int given) {
        int off = 0, listener = given >= 0 ? check_listener(given) : make_listener(s);

        if (listener < 0)
                return listener;
        /* No client needs to send fds here. One that is turned away could leave a socket that takes hours to close:
         * SO_LINGER. */
        setsockopt(listener, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof off);
        s->listener = listener;
        return fsrv__watch(s, s->listener, EPOLLIN, FSRV_SOURCE_LISTENER, 0);
}

/* The path goes first: no client is to find a socket where no server listens any more. */
void fsrv__unlisten(struct fsrv__server *s) {
        struct stat st;

        if (s->listener < 0)
                return;
        if (lstat(s->config.path, &st) == 0 && st.st_dev == s->socket_device && st.st_ino == s->socket_inode)
                unlink(s->config.path);
        fsrv__unwatch(s, s->listener); /* another server may have it, too */
        s->listener = fsrv__fd_close(s->listener);
}
