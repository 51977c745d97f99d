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
 * The process of a program needs memory until execve(2) gives it some. As with vfork(2) it borrows that of its standby:
 * nothing is forked, copied and torn down. vfork(2) waits in the kernel; the standby waits for no longer than a limit.
 * A directory, or the program, may lie on a file system that hangs, and no requests would be taken meanwhile.
 *
 * While the borrower runs, both have the same errno and the same malloc. So the standby makes bare system calls alone,
 * and the borrower allocates nothing, so that it may be killed anywhere.
 */

#ifdef FSRV_CALLS_ARE_BARE

/* The borrower's stack lies below the standby's, beyond what the waiting needs, and may grow as that might. (It is no
 * array: a compiler that probes what it puts on the stack would touch all of it.) */
enum { GAP = 32 << 10, USUAL = 16 << 10, MOST = 1 << 20, LIMIT_MS = 100 };

/* When the borrower lets go of the memory, by execve(2) or by its end, the kernel writes a 0 to *lent and wakes the
 * waiting process: CLONE_CHILD_CLEARTID, which is how pthread_join(3) waits. */
static bool is_returned_by(const int *lent, int64_t deadline) {
        while (__atomic_load_n(lent, __ATOMIC_ACQUIRE)) {
                int left = fsrv__left(deadline);
                const struct { long s, ns; } timeout = { left / 1000, left % 1000 * 1000000L };

                if (left == 0)
                        return false;
                fsrv__call(SYS_futex, lent, FUTEX_WAIT, 1, &timeout);
        }
        return true;
}

/* The memory may still be in use. To end doesn't touch it. */
static _Noreturn void retire_standby(const struct fsrv__standby *standby, pid_t borrower) {
        const struct fsrv__wire_claim claim = { .type = FSRV_WIRE_RETIRED, .borrower = borrower };

        fsrv__channel_send_patiently(standby->claims, &claim, sizeof claim, NULL, 0, FSRV_NEVER);
        _exit(0);
}

/* Parts of the borrower's request may still be in that memory. */
static void wipe_stack(char *end) {
        uintptr_t usual = (uintptr_t)end - USUAL, page = (uintptr_t)sysconf(_SC_PAGESIZE), rest = usual / page * page;

        ASAN_UNPOISON_MEMORY_REGION(end - MOST, MOST);
        explicit_bzero((char *)rest, (uintptr_t)end - rest);
        fsrv__call(SYS_madvise, rest - MOST, MOST, MADV_DONTNEED); /* ENOMEM: not all of that is there */
}

struct loan {
        const struct fsrv__standby *standby;
        void (*borrower)(const struct fsrv__standby *standby);
};

static int run_borrower(void *data) {
        const struct loan *loan = data;

        loan->borrower(loan->standby);
        return 127;
}

__attribute__((noinline)) int fsrv__loan_make(const struct fsrv__standby *standby,
                                              void (*borrower)(const struct fsrv__standby *standby),
                                              struct fsrv__message *message) {
        struct loan loan = { standby, borrower };
        char *stack = (char *)((uintptr_t)__builtin_frame_address(0) / 64 * 64 - GAP);
        int fds[FSRV_WIRE_FDS_MAX], err = errno, lent = 1;
        size_t n_fds = message->n_fds;

        memcpy(fds, message->fds, n_fds * sizeof *fds); /* the borrower moves its own to other numbers */
        pid_t pid = clone(run_borrower, stack, CLONE_VM | CLONE_PARENT | CLONE_CHILD_CLEARTID | SIGCHLD, &loan, NULL,
                          NULL, &lent);
        if (pid < 0)
                return -errno;
        fsrv__fds_close(fds, n_fds); /* the end of a pipe must not depend on this process */
        bool is_returned = is_returned_by(&lent, fsrv__deadline(LIMIT_MS));
        /* The server doesn't know of a borrower that died before its claim. It is told of the pid, which isn't free
         * until the server has reaped it. */
        if (!is_returned || !fsrv__task.has_claimed)
                retire_standby(standby, fsrv__task.has_claimed ? 0 : pid);
        wipe_stack(stack);
        errno = err;
        message->n_fds = 0;
        return 0;
}

#else

int fsrv__loan_make(const struct fsrv__standby *standby, void (*borrower)(const struct fsrv__standby *standby),
                    struct fsrv__message *message) {
        (void)standby;
        (void)borrower;
        (void)message;
        return -ENOSYS;
}

#endif
