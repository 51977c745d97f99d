/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_FD_H
#define FSRV_BASE_FD_H

#include <stddef.h>

/* Closes fd unless it is -1; returns -1, so that `fd = fsrv__fd_close(fd)`. Keeps errno. */
int fsrv__fd_close(int fd);

static inline void fsrv__fd_closep(int *fd) {
        *fd = fsrv__fd_close(*fd);
}
#define FSRV_CLEANUP_FD __attribute__((cleanup(fsrv__fd_closep)))

static inline int fsrv__fd_steal(int *fd) {
        int taken = *fd;
        *fd = -1;
        return taken;
}

void fsrv__fds_close(int *fds, size_t n);

/* 1 or 0; -errno. */
int fsrv__fd_is_open(int fd);
int fsrv__fd_set_cloexec(int fd, int on);

/* A close-on-exec copy at `min` or above. -errno. */
int fsrv__fd_dup_above(int fd, int min);

/* Moves an fd above the standard streams: in a program that has closed some of these, an fd of ours must not be taken
 * for one. Takes fd over. The new number, or -errno; an fd that is -errno already is returned as it is. */
int fsrv__fd_raise(int fd);

/* A SEQPACKET pair, a stream pair, and a pipe: close-on-exec, above the standard streams. 0 or -errno. */
int fsrv__socketpair(int ret_fds[2]);
int fsrv__streampair(int ret_fds[2]);
int fsrv__pipe(int ret_fds[2]);
/* As open(2), close-on-exec and above the standard streams. The fd or -errno. */
int fsrv__open(const char *path, int flags);

#endif
