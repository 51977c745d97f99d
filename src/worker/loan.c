/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/call.h"
#include "base/clock.h"
#include "base/fd.h"
#include "worker/worker.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at))
#endif

/*
 * The process of a program needs memory until execve(2) gives it some. As with vfork(2) it borrows ours: nothing is forked, copied and
 * torn down. Unlike with vfork(2), which waits in the kernel, we wait for no longer than a limit: the set-up opens files, which may hang
 * (a FIFO without a writer, a file system on a network), and nobody else would take requests meanwhile.
 *
 * While it runs, both have the same errno and malloc's state: we do bare system calls alone, and who borrows allocates nothing, so that
 * it may be killed anywhere. Its stack lies on ours.
 */

enum { STACK = 32768, LIMIT_MS = 100 };

/* The kernel writes a 0 there and wakes who waits when the memory is let go of, by execve(2) or by the end: CLONE_CHILD_CLEARTID, which
 * is how pthread_join(3) waits. */
static bool is_back_by(volatile int *lent, int64_t deadline) {
        while (*lent) {
                int left = fsrv_left(deadline);
                struct timespec timeout = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000L };

                if (left == 0)
                        return false;
                fsrv_call(SYS_futex, lent, FUTEX_WAIT, 1, &timeout);
        }
        return true;
}

/* The memory may still be in use: to end is not to touch it. */
static _Noreturn void retire(const struct fsrv_birth *birth) {
        const struct fsrv_wire_claim claim = { .type = FSRV_WIRE_RETIRED };

        fsrv_channel_send(birth->claims, &claim, sizeof claim, NULL, 0, 0);
        _exit(0);
}

struct loan {
        const struct fsrv_birth *birth;
        void (*borrower)(const struct fsrv_birth *birth);
};

static int borrow(void *data) {
        const struct loan *loan = data;

        loan->borrower(loan->birth);
        return 127;
}

/* Until it is back, nothing here returns: the frame holds the other's stack. */
__attribute__((noinline)) int fsrv_lend(const struct fsrv_birth *birth, void (*borrower)(const struct fsrv_birth *birth),
                                        struct fsrv_message *message) {
        struct loan loan = { birth, borrower };
        char stack[STACK] __attribute__((aligned(64)));
        int fds[FSRV_WIRE_FDS_MAX], err = errno;
        size_t n_fds = message->n_fds;
        volatile int lent = 1;

        memcpy(fds, message->fds, n_fds * sizeof *fds); /* the borrower moves its own to other numbers */
        if (clone(borrow, stack + sizeof stack, CLONE_VM | CLONE_PARENT | CLONE_CHILD_CLEARTID | SIGCHLD, &loan, NULL, NULL, &lent) < 0)
                return -errno;
        fsrv_fds_close(fds, n_fds); /* whoever waits for the end of a pipe must not wait for us */
        /* The server doesn't know of who died before its claim, and looks for such when we end. */
        if (!is_back_by(&lent, fsrv_deadline(LIMIT_MS)) || !fsrv_own.task.has_claimed)
                retire(birth);
        ASAN_UNPOISON_MEMORY_REGION(stack, sizeof stack);
        explicit_bzero(stack, sizeof stack); /* parts of its request */
        errno = err;
        message->n_fds = 0;
        return 0;
}
