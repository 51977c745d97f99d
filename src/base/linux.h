/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_LINUX_H
#define FSRV_BASE_LINUX_H

/* Linux calls that glibc 2.31 lacks, or whose absence has a fallback. All return -errno. Oldest kernel: 5.10. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The effective uid as the kernel has it, which is what it stamps on messages. geteuid(3) may be another library's,
 * which tells what it likes: fakeroot's. */
uid_t fsrv__euid(void);

int fsrv__pidfd_open(pid_t pid);
int fsrv__pidfd_send_signal(int pidfd, int signal);
/* To the process group that this process leads or led, also after its end (Linux 6.9, else -EINVAL); -ESRCH: it has
 * led none, or the group is empty. */
int fsrv__pidfd_signal_group(int pidfd, int signal);
/* The number that the process has in our pid namespace while nobody has reaped it; 0: it has none (another namespace,
 * or it was reaped), or /proc can't tell. */
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

/* The next stop or continuation of a child that nobody was told of: 1; 0 if there is none; -ECHILD. */
int fsrv__take_change(struct fsrv__change *ret_change);

/* The exit status of a process that somebody else has reaped, by pidfd (Linux >= 6.15, PIDFD_GET_INFO with
 * PIDFD_INFO_EXIT). -EAGAIN while it has not been reaped, another errno if the kernel cannot tell. */
int fsrv__pidfd_exit_status(int pidfd, struct fsrv__exit *ret_exit);

/* Closes, or marks close-on-exec, all fds in [first, last]. Without close_range(2) (5.9; CLOSE_RANGE_CLOEXEC 5.11, or a
 * sandbox hides it) goes through /proc/self/fd, and without that through all numbers below the limit. Safe in a child
 * between clone and exec: no allocation, no locks. */
void fsrv__close_range(unsigned first, unsigned last);
void fsrv__cloexec_range(unsigned first, unsigned last);

/* /dev/null, for reading and writing. Where that is missing, a file that is empty and cannot be written to. The fd is
 * close-on-exec, the lowest that is free; -errno. Safe in a child between clone and exec. */
int fsrv__open_null(void);

/* Whether a core dump ends its own process alone (Linux 5.16). Before, it ends all whose memory it dumps with the same
 * signal, even who is on the way to memory of its own: execve(2) says that it has let go of the old a little before it
 * has. */
bool fsrv__cores_end_one(void);

/* A bit of /proc/PID/coredump_filter, core(5): private memory that is a file's, as frozen memory is. */
enum { FSRV_COREDUMP_FILE_PRIVATE = 1 << 2 };

/* A sealed memfd with these bytes, one part after the other: no writer can change it any more. */
int fsrv__sealed_memfd_of(const char *name, const struct iovec *parts, size_t n_parts);
int fsrv__sealed_memfd(const char *name, const void *bytes, size_t n);
/* 0 if the fd is a memfd that is sealed against writing, growing and shrinking and has exactly n bytes; -EPROTO. */
int fsrv__check_sealed(int fd, size_t n);

#endif
