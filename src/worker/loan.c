/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/call.h"
#include "base/clock.h"
#include "base/fd.h"
#include "worker/worker.h"

#ifdef FSRV_IS_SANITIZED
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at))
#endif

/*
 * The process of a program needs memory until execve(2) gives it some. As with vfork(2) it borrows ours: nothing is
 * forked, copied and torn down. Unlike with vfork(2), which waits in the kernel, we wait for no longer than a limit: a
 * directory, or the program, may lie on a file system that hangs, and nobody else would take requests meanwhile.
 *
 * While it runs, both have the same errno and malloc's state: we do bare system calls alone, and who borrows allocates
 * nothing, so that it may be killed anywhere.
 */

#ifdef FSRV_CALLS_ARE_BARE

/* The other's stack lies below ours, beyond what our waiting needs, and may grow as ours might. (No array: a compiler
 * that probes what it puts on the stack would touch all of it.) */
enum { GAP = 32 << 10, USUAL = 16 << 10, MOST = 1 << 20, LIMIT_MS = 100 };

/* The kernel writes a 0 there and wakes who waits when the memory is let go of, by execve(2) or by the end:
 * CLONE_CHILD_CLEARTID, which is how pthread_join(3) waits. */
static bool is_back_by(const int *lent, int64_t deadline) {
        while (__atomic_load_n(lent, __ATOMIC_ACQUIRE)) {
                int left = fsrv__left(deadline);
                const struct { long s, ns; } timeout = { left / 1000, left % 1000 * 1000000L };

                if (left == 0)
                        return false;
                fsrv__call(SYS_futex, lent, FUTEX_WAIT, 1, &timeout);
        }
        return true;
}

/* The memory may still be in use: to end is not to touch it. */
static _Noreturn void retire(const struct fsrv__birth *birth, pid_t borrower) {
        const struct fsrv__wire_claim claim = { .type = FSRV_WIRE_RETIRED, .borrower = borrower };

        fsrv__channel_send_patiently(birth->claims, &claim, sizeof claim, NULL, 0,
                                     fsrv__deadline(FSRV_WIRE_SEND_TIMEOUT_MS));
        _exit(0);
}

/* Of its request something may lie there. */
static void wipe(char *end) {
        uintptr_t usual = (uintptr_t)end - USUAL, page = (uintptr_t)sysconf(_SC_PAGESIZE), rest = usual / page * page;

        ASAN_UNPOISON_MEMORY_REGION(end - MOST, MOST);
        explicit_bzero((char *)rest, (uintptr_t)end - rest);
        fsrv__call(SYS_madvise, rest - MOST, MOST, MADV_DONTNEED); /* ENOMEM: not all of that is there */
}

struct loan {
        const struct fsrv__birth *birth;
        void (*borrower)(const struct fsrv__birth *birth);
};

static int borrow(void *data) {
        const struct loan *loan = data;

        loan->borrower(loan->birth);
        return 127;
}

__attribute__((noinline)) int fsrv__lend(const struct fsrv__birth *birth,
                                         void (*borrower)(const struct fsrv__birth *birth),
                                         struct fsrv__message *message) {
        struct loan loan = { birth, borrower };
        char *stack = (char *)((uintptr_t)__builtin_frame_address(0) / 64 * 64 - GAP);
        int fds[FSRV_WIRE_FDS_MAX], err = errno, lent = 1;
        size_t n_fds = message->n_fds;

        memcpy(fds, message->fds, n_fds * sizeof *fds); /* the borrower moves its own to other numbers */
        pid_t pid = clone(borrow, stack, CLONE_VM | CLONE_PARENT | CLONE_CHILD_CLEARTID | SIGCHLD, &loan, NULL, NULL,
                          &lent);
        if (pid < 0)
                return -errno;
        fsrv__fds_close(fds, n_fds); /* whoever waits for the end of a pipe must not wait for us */
        bool is_back = is_back_by(&lent, fsrv__deadline(LIMIT_MS));
        /* Of who died before its claim the server doesn't know, and the pid stays its own until it does. */
        if (!is_back || !fsrv__own.task.has_claimed)
                retire(birth, fsrv__own.task.has_claimed ? 0 : pid);
        wipe(stack);
        errno = err;
        message->n_fds = 0;
        return 0;
}

#else

int fsrv__lend(const struct fsrv__birth *birth, void (*borrower)(const struct fsrv__birth *birth),
               struct fsrv__message *message) {
        (void)birth;
        (void)borrower;
        (void)message;
        return -ENOSYS;
}

#endif
