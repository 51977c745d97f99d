/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_LINUX_H
#define FSRV_BASE_LINUX_H

/* Linux calls that glibc 2.31 lacks, or that have a fallback where they are missing. All return -errno. The oldest
 * kernel is 5.10. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The effective uid that the kernel stamps on messages. geteuid(3) may be another library's and give another answer
 * (fakeroot). */
uid_t fsrv__euid(void);

int fsrv__pidfd_open(pid_t pid);
int fsrv__pidfd_send_signal(int pidfd, int signal);
/* Signals the process group that this process leads or led, also after its end. Needs Linux 6.9, else -EINVAL. -ESRCH:
 * the process has led no group, or the group is empty. */
int fsrv__pidfd_signal_group(int pidfd, int signal);
/* The pid that the process has in our pid namespace until it is reaped. 0: it has none, or /proc cannot tell. */
pid_t fsrv__pidfd_number(int pidfd);
/* 0 if a pidfd can be opened, signalled and waited for here (Linux 5.4, and no sandbox that hides it). */
int fsrv__pidfd_check(void);

/* How a process ended, in waitid(2)'s terms: code is CLD_EXITED, CLD_KILLED or CLD_DUMPED. */
struct fsrv__exit {
        pid_t pid;
        int code;
        int status;
};

/* Reaps the child behind a pidfd, if it has ended: 1; 0 while it lives; -ECHILD if it isn't ours. */
int fsrv__reap_pidfd(int pidfd, struct fsrv__exit *ret_exit, struct rusage *ret_rusage);
/* 1 if the process behind a pidfd is a child of ours, living or not reaped yet; else 0. */
int fsrv__is_child(int pidfd);
/* Looks for any dead child without reaping it: 1 and its pid; 0 if there is none now; -ECHILD without children. */
int fsrv__peek_dead(pid_t *ret_pid);

struct fsrv__change {
        pid_t pid;
        bool is_stop; /* else it went on */
        int signal;
};

/* The next stop or continuation of a child that was not told yet: 1; 0 if there is none; -ECHILD. */
int fsrv__take_change(struct fsrv__change *ret_change);

/* The exit status of a process that another process has reaped, by pidfd (PIDFD_INFO_EXIT, Linux 6.15). 0; -EAGAIN: it
 * has not been reaped yet; another -errno: the kernel cannot tell. */
int fsrv__pidfd_exit_status(int pidfd, struct fsrv__exit *ret_exit);

/* Closes all fds in [first, last], or marks them close-on-exec. Where close_range(2) is missing (Linux 5.9, with
 * CLOSE_RANGE_CLOEXEC 5.11) or a sandbox hides it, this goes through /proc/self/fd, and without that through all
 * numbers below the limit. It is safe between clone and exec: it allocates nothing and takes no lock. */
void fsrv__close_range(unsigned first, unsigned last);
void fsrv__cloexec_range(unsigned first, unsigned last);

/* Opens /dev/null for reading and writing. Where that is missing, this opens an empty file that cannot be written to.
 * The fd is close-on-exec and the lowest that is free; or -errno. It is safe between clone and exec. */
int fsrv__open_null(void);

/* Whether a core dump ends its own process alone (Linux 5.16). An older kernel ends every process that shares the
 * memory with the same signal. It ends even one in execve(2), which says a little too early that it has let go of the
 * old memory. */
bool fsrv__cores_end_one(void);

/* A bit of /proc/PID/coredump_filter, core(5): private memory that is a file's, as frozen memory is. */
enum { FSRV_COREDUMP_FILE_PRIVATE = 1 << 2 };

/* A sealed memfd with these bytes, one part after the other: nothing can change it any more. */
int fsrv__sealed_memfd_of(const char *name, const struct iovec *parts, size_t n_parts);
int fsrv__sealed_memfd(const char *name, const void *bytes, size_t n);
/* 0 if the fd is a memfd that is sealed against writing, growing and shrinking and has exactly n bytes; -EPROTO. */
int fsrv__check_sealed(int fd, size_t n);

#endif
