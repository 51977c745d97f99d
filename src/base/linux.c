/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/call.h"
#include "base/fd.h"
#include "base/huge.h"

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define FSRV_P_PIDFD             3 /* waitid(2), Linux 5.4 */
#define FSRV_CLOSE_RANGE_CLOEXEC 4U
#define FSRV_PIDFD_SIGNAL_GROUP  4U /* Linux 6.9 */

uid_t fsrv__euid(void) {
#ifdef SYS_geteuid32 /* the other one has 16 bits */
        return (uid_t)fsrv__call(SYS_geteuid32);
#else
        return (uid_t)fsrv__call(SYS_geteuid);
#endif
}

int fsrv__pidfd_open(pid_t pid) {
        return (int)fsrv__call(SYS_pidfd_open, pid, 0);
}

int fsrv__pidfd_send_signal(int pidfd, int signal) {
        return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

int fsrv__pidfd_signal_group(int pidfd, int signal) {
        return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, FSRV_PIDFD_SIGNAL_GROUP) < 0 ? -errno : 0;
}

pid_t fsrv__pidfd_number(int pidfd) {
        char path[64], text[512];

        snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
        FSRV_CLEANUP_FD int fd = fsrv__open(path, O_RDONLY);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        text[n < 0 ? 0 : n] = 0;
        const char *line = strstr(text, "Pid:");
        int pid = line ? atoi(line + 4) : 0;
        return pid > 0 ? pid : 0;
}

int fsrv__pidfd_check(void) {
        FSRV_CLEANUP_FD int self = fsrv__pidfd_open(getpid());
        struct fsrv__exit exit;
        struct rusage rusage;

        if (self < 0)
                return self;
        int r = fsrv__pidfd_send_signal(self, 0);
        if (r == 0)
                r = fsrv__reap_pidfd(self, &exit, &rusage);
        return r == -ECHILD ? 0 : r; /* nobody is a child of itself */
}

int fsrv__reap_pidfd(int pidfd, struct fsrv__exit *ret_exit, struct rusage *ret_rusage) {
        siginfo_t si;

        si.si_pid = 0; /* waitid leaves it alone when nothing has ended */
        if (syscall(SYS_waitid, FSRV_P_PIDFD, pidfd, &si, WEXITED | WNOHANG, ret_rusage) < 0)
                return -errno;
        if (si.si_pid == 0)
                return 0;
        *ret_exit = (struct fsrv__exit){ .pid = si.si_pid, .code = si.si_code, .status = si.si_status };
        return 1;
}

int fsrv__is_child(int pidfd) {
        siginfo_t si;

        return syscall(SYS_waitid, FSRV_P_PIDFD, pidfd, &si, WEXITED | WNOHANG | WNOWAIT, NULL) == 0;
}

int fsrv__peek_dead(pid_t *ret_pid) {
        siginfo_t si;

        si.si_pid = 0;
        if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0)
                return -errno;
        if (si.si_pid == 0)
                return 0;
        *ret_pid = si.si_pid;
        return 1;
}

/* __WALL: a child of the zygote's, made ours by CLONE_PARENT, may have another exit signal than SIGCHLD. */
int fsrv__take_change(struct fsrv__change *ret_change) {
        siginfo_t si;

        si.si_pid = 0;
        if (waitid(P_ALL, 0, &si, WSTOPPED | WCONTINUED | WNOHANG | __WALL) < 0)
                return -errno;
        if (si.si_pid == 0)
                return 0;
        *ret_change =
                (struct fsrv__change){ .pid = si.si_pid, .is_stop = si.si_code == CLD_STOPPED, .signal = si.si_status };
        return 1;
}

/* As include/uapi/linux/pidfd.h of Linux 6.15 has it; Debian 12's headers don't. */
struct pidfd_info {
        uint64_t mask;
        uint64_t cgroupid;
        uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
        int32_t exit_code;
};
#define FSRV_PIDFD_INFO_EXIT (1UL << 3)
#define FSRV_PIDFD_GET_INFO  _IOWR(0xFF, 11, struct pidfd_info)

int fsrv__pidfd_exit_status(int pidfd, struct fsrv__exit *ret_exit) {
        struct pidfd_info info = { .mask = FSRV_PIDFD_INFO_EXIT };

        if (ioctl(pidfd, FSRV_PIDFD_GET_INFO, &info) < 0)
                return errno == ESRCH ? -EAGAIN : -errno; /* ESRCH: a zombie still */
        if (!(info.mask & FSRV_PIDFD_INFO_EXIT))
                return -EAGAIN;

        int status = info.exit_code;
        ret_exit->pid = (pid_t)info.pid;
        if (WIFEXITED(status)) {
                ret_exit->code = CLD_EXITED;
                ret_exit->status = WEXITSTATUS(status);
        } else {
                ret_exit->code = WCOREDUMP(status) ? CLD_DUMPED : CLD_KILLED;
                ret_exit->status = WTERMSIG(status);
        }
        return 0;
}

bool fsrv__cores_end_one(void) {
        enum { FUTEX_WAITV = 449 }; /* came with the same release, and says EINVAL to nothing */

        return syscall(FUTEX_WAITV, NULL, 0, 0, NULL, 0) < 0 && errno == EINVAL;
}

struct linux_dirent64 {
        uint64_t ino;
        int64_t off;
        unsigned short reclen;
        unsigned char type;
        char name[];
};

/* Applies `act` to every open fd in the range that /proc/self/fd lists. getdents64(2) itself: opendir(3) allocates. */
static int each_open_fd(unsigned first, unsigned last, void (*act)(int)) {
        char buffer[4096] __attribute__((aligned(8)));
        int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        long n;

        if (dir < 0)
                return -errno;
        while ((n = syscall(SYS_getdents64, dir, buffer, sizeof buffer)) > 0)
                for (long at = 0; at < n;) {
                        struct linux_dirent64 *entry = (struct linux_dirent64 *)(buffer + at);
                        unsigned fd = 0;

                        at += entry->reclen;
                        if (entry->name[0] == '.')
                                continue;
                        for (const char *c = entry->name; *c; c++)
                                fd = fd * 10 + (unsigned)(*c - '0');
                        if (fd >= first && fd <= last && (int)fd != dir)
                                act((int)fd);
                }
        close(dir);
        return n < 0 ? -EIO : 0;
}

static void each_fd(unsigned first, unsigned last, void (*act)(int)) {
        struct rlimit limit;

        if (each_open_fd(first, last, act) == 0)
                return;
        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > 65536)
                limit.rlim_cur = 65536;
        for (unsigned fd = first; fd <= last && fd < limit.rlim_cur; fd++)
                act((int)fd);
}

static void close_one(int fd) {
        close(fd);
}

static void cloexec_one(int fd) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void fsrv__close_range(unsigned first, unsigned last) {
        if (first <= last && syscall(SYS_close_range, first, last, 0) < 0)
                each_fd(first, last, close_one);
}

void fsrv__cloexec_range(unsigned first, unsigned last) {
        if (first <= last && syscall(SYS_close_range, first, last, FSRV_CLOSE_RANGE_CLOEXEC) < 0)
                each_fd(first, last, cloexec_one);
}

int fsrv__open_null(void) {
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (fd >= 0)
                return fd;
        int err = errno;
        fd = memfd_create("null", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW) == 0)
                return fd;
        fsrv__fd_close(fd);
        return -err;
}

#define FSRV_SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)

static int write_all(int fd, const void *bytes, size_t n) {
        for (size_t done = 0; done < n;) {
                ssize_t k = write(fd, (const char *)bytes + done, n - done);
                if (k < 0 && errno != EINTR)
                        return -errno;
                if (k > 0)
                        done += (size_t)k;
        }
        return 0;
}

int fsrv__sealed_memfd_of(const char *name, const struct iovec *parts, size_t n_parts) {
        FSRV_CLEANUP_FD int fd = fsrv__fd_raise(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));

        size_t size = 0;

        for (size_t i = 0; i < n_parts; i++)
                size += parts[i].iov_len;
        int r = fd < 0 ? -errno : fsrv__huge_set_size(fd, size);
        for (size_t i = 0; i < n_parts && r == 0; i++)
                r = write_all(fd, parts[i].iov_base, parts[i].iov_len);
        if (r < 0)
                return r;
        if (fcntl(fd, F_ADD_SEALS, FSRV_SEALS | F_SEAL_SEAL) < 0)
                return -errno;
        return fsrv__fd_steal(&fd);
}

int fsrv__sealed_memfd(const char *name, const void *bytes, size_t n) {
        return fsrv__sealed_memfd_of(name, &(struct iovec){ (void *)bytes, n }, 1);
}

int fsrv__check_sealed(int fd, size_t n) {
        struct stat st;
        int seals = fcntl(fd, F_GET_SEALS);

        if (seals < 0 || (seals & FSRV_SEALS) != FSRV_SEALS)
                return -EPROTO;
        if (fstat(fd, &st) < 0 || st.st_size < 0 || (uint64_t)st.st_size != n)
                return -EPROTO;
        return 0;
}
