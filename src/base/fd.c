/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

int fsrv_fd_close(int fd) {
        if (fd >= 0) {
                int saved = errno;
                close(fd); /* never again after EINTR: Linux has released the number (close(2)) */
                errno = saved;
        }
        return -1;
}

void fsrv_fds_close(int *fds, size_t n) {
        for (size_t i = 0; i < n; i++)
                fds[i] = fsrv_fd_close(fds[i]);
}

int fsrv_fd_is_open(int fd) {
        if (fcntl(fd, F_GETFD) >= 0)
                return 1;
        return errno == EBADF ? 0 : -errno;
}

int fsrv_fd_set_cloexec(int fd, int on) {
        return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0 ? -errno : 0;
}

int fsrv_fd_dup_above(int fd, int min) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, min);
        return copy < 0 ? -errno : copy;
}

int fsrv_socketpair(int ret_fds[2]) {
        return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0 ? -errno : 0;
}
