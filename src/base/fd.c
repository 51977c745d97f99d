/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/call.h"

int fsrv__fd_close(int fd) {
        if (fd >= 0)
                fsrv__call(SYS_close, fd); /* never again after EINTR: Linux has released the number (close(2)) */
        return -1;
}

void fsrv__fds_close(int *fds, size_t n) {
        for (size_t i = 0; i < n; i++)
                fds[i] = fsrv__fd_close(fds[i]);
}

int fsrv__fd_is_open(int fd) {
        if (fcntl(fd, F_GETFD) >= 0)
                return 1;
        return errno == EBADF ? 0 : -errno;
}

int fsrv__fd_set_cloexec(int fd, int on) {
        return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0 ? -errno : 0;
}

int fsrv__fd_dup_above(int fd, int min) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, min);
        return copy < 0 ? -errno : copy;
}

int fsrv__fd_raise(int fd) {
        if (fd < 0 || fd > STDERR_FILENO)
                return fd;
        int raised = fsrv__fd_dup_above(fd, STDERR_FILENO + 1);
        close(fd);
        return raised;
}

static int raise_both(const int made[2], int ret_fds[2]) {
        int a = fsrv__fd_raise(made[0]), b = fsrv__fd_raise(made[1]);

        if (a < 0 || b < 0) {
                fsrv__fd_close(a);
                fsrv__fd_close(b);
                return a < 0 ? a : b;
        }
        ret_fds[0] = a;
        ret_fds[1] = b;
        return 0;
}

static int make_pair(int type, int ret_fds[2]) {
        int made[2];

        return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, made) < 0 ? -errno : raise_both(made, ret_fds);
}

int fsrv__socketpair(int ret_fds[2]) {
        return make_pair(SOCK_SEQPACKET, ret_fds);
}

int fsrv__streampair(int ret_fds[2]) {
        return make_pair(SOCK_STREAM, ret_fds);
}

int fsrv__pipe(int ret_fds[2]) {
        int made[2];

        return pipe2(made, O_CLOEXEC) < 0 ? -errno : raise_both(made, ret_fds);
}

int fsrv__open(const char *path, int flags) {
        int fd = open(path, flags | O_CLOEXEC);

        return fd < 0 ? -errno : fsrv__fd_raise(fd);
}
