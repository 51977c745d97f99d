/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_FD_H
#define FSRV_BASE_FD_H

#include <stddef.h>

/* Closes fd unless it is -1; returns -1, so that `fd = fsrv_fd_close(fd)`. Keeps errno. */
int fsrv_fd_close(int fd);

static inline void fsrv_fd_closep(int *fd) {
        *fd = fsrv_fd_close(*fd);
}
#define FSRV_CLEANUP_FD __attribute__((cleanup(fsrv_fd_closep)))

static inline int fsrv_fd_steal(int *fd) {
        int taken = *fd;
        *fd = -1;
        return taken;
}

void fsrv_fds_close(int *fds, size_t n);

/* 1 or 0; -errno. */
int fsrv_fd_is_open(int fd);
int fsrv_fd_set_cloexec(int fd, int on);

/* A close-on-exec copy at `min` or above. -errno. */
int fsrv_fd_dup_above(int fd, int min);

/* A SEQPACKET pair, close-on-exec. 0 or -errno. */
int fsrv_socketpair(int ret_fds[2]);

#endif
