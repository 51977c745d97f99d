/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/fork.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/call.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/layout.h"
#include "base/linux.h"
#include "wire/channel.h"
#include "zygote/patience.h"

/*
 * A fork has to be the C library's fork(), so that the handlers of pthread_atfork(3) run, and the child's parent has to
 * be the server. There are two ways:
 *
 * 1. Syscall user dispatch (x86-64, Linux 5.11): from the end of fork()'s *prepare* phase until its clone(2), system
 *    calls are turned into SIGSYS, and the signal's handler adds CLONE_PARENT to the clone. The kernel switches the
 *    dispatch off in the child by itself.
 * 2. Forking twice, anywhere: the middle process exits, and the server, being the reaper of orphans, inherits the
 *    child.
 */

static bool twice = true;

/* ---- a child's bond: it dies with its parent, from before any module's fork handler, which may hang on a lock ---- */

struct bond {
        pid_t parent; /* 0: none, as in the forks that modules and workers make */
        pid_t middle; /* the process that has to end before `parent` is the parent; 0: there is none */
};

FSRV__WORKER_VARIABLE static struct bond bond; /* of the fork() that is going on */

/* Waits for the end of the middle process, which makes the server this one's parent. (It doesn't wait for the server to
 * be the parent: that may have died.) */
static void wait_for_orphanage(pid_t middle) {
        for (int i = 0; getppid() == middle; i++)
                if (i < 1000)
                        sched_yield();
                else
                        usleep(1000);
}

/* The signal comes when the parent dies from now on, so whether it has died before is looked at afterwards. */
static void bind_child(void) {
        struct bond own = bond;

        bond = (struct bond){ 0 };
        if (own.middle)
                wait_for_orphanage(own.middle);
        if (!own.parent)
                return;
        fsrv__call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != own.parent)
                _exit(0);
}

static pid_t bound_fork(struct bond to) {
        bond = to;
        pid_t pid = fork();
        bond = (struct bond){ 0 };
        return pid;
}

pid_t fsrv__fork_helper(void) {
        return bound_fork((struct bond){ .parent = getpid() });
}

int fsrv__fork_await(pid_t pid, int64_t limit_ms, int *ret_status) {
        FSRV_CLEANUP_FD int pidfd = fsrv__pidfd_open(pid);
        struct pollfd entry = { .fd = pidfd, .events = POLLIN };
        int64_t deadline = fsrv__deadline(limit_ms);
        bool late = false;

        *ret_status = 0;
        while (pidfd >= 0 && !late && poll(&entry, 1, fsrv__left(deadline)) <= 0)
                late = fsrv__now() >= deadline;
        if (late)
                fsrv__pidfd_send_signal(pidfd, SIGKILL);
        while (waitpid(pid, ret_status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return late ? -ETIMEDOUT : 0;
}

/* ---- standbys ---- */

#if defined(__x86_64__) && defined(__linux__)

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_OFF          0
#define PR_SYS_DISPATCH_ON           1
#endif

enum { ALLOW = 0, BLOCK = 1 };
FSRV__WORKER_VARIABLE static volatile char selector = ALLOW; /* read by the kernel at every system call */
FSRV__WORKER_VARIABLE static bool armed;                     /* this fork() is to be changed */
FSRV__WORKER_VARIABLE static unsigned long clone_flags;      /* added to its clone */
FSRV__WORKER_VARIABLE static bool caught;

/* The way back from the handler is a system call too, and has to be let through while the selector says BLOCK. So its
 * address range is the one that the dispatch leaves alone. */
void fsrv__dispatch_restorer(void) __attribute__((visibility("hidden")));
extern const char fsrv__dispatch_restorer_end[] __attribute__((visibility("hidden")));
__asm__(".text\n"
        ".type fsrv__dispatch_restorer, @function\n"
        "fsrv__dispatch_restorer:\n"
        "        mov $15, %eax\n" /* rt_sigreturn */
        "        syscall\n"
        "        nop\n" /* the kernel looks at where the call returns to: that has to be within the range */
        "fsrv__dispatch_restorer_end:\n"
        ".hidden fsrv__dispatch_restorer\n"
        ".hidden fsrv__dispatch_restorer_end\n"
        ".global fsrv__dispatch_restorer\n"
        ".global fsrv__dispatch_restorer_end\n"
        ".previous\n");

static uint64_t changed_mask(uint64_t mask, int how, uint64_t set) {
        switch (how) {
        case SIG_BLOCK:
                return mask | set;
        case SIG_UNBLOCK:
                return mask & ~set;
        default:
                return set;
        }
}

/* The mask to change is the one that the return from this handler sets. SIGSYS stays out of it: if it were blocked, the
 * next caught call would kill this process. */
static long emulate_sigprocmask(ucontext_t *context, int how, const uint64_t *set, uint64_t *old) {
        uint64_t mask, wanted;

        memcpy(&mask, &context->uc_sigmask, sizeof mask);
        if (old)
                *old = mask;
        if (!set)
                return 0;
        wanted = changed_mask(mask, how, *set) & ~(UINT64_C(1) << (SIGSYS - 1));
        memcpy(&context->uc_sigmask, &wanted, sizeof wanted);
        return 0;
}

static void on_syscall(int signal, siginfo_t *info, void *data) {
        ucontext_t *context = data;
        greg_t *regs = context->uc_mcontext.gregs;
        long number = info->si_syscall, a = regs[REG_RDI], b = regs[REG_RSI];
        bool is_clone = true;
        long result;

        (void)signal;
        selector = ALLOW;
        if (number == SYS_clone) {
                a |= (long)clone_flags;
        } else if (number == SYS_fork) {
                number = SYS_clone;
                a = (long)clone_flags | SIGCHLD;
                b = 0;
        } else if (number == SYS_clone3) {
                *(uint64_t *)a |= clone_flags; /* struct clone_args begins with the flags */
        } else {
                is_clone = false;
        }
        caught = is_clone;
        /* This is written before the clone: the child would write to a page that it needs for nothing else. */
        regs[REG_RAX] = 0;
        if (number == SYS_rt_sigprocmask)
                result = emulate_sigprocmask(context, (int)a, (const uint64_t *)b, (uint64_t *)regs[REG_RDX]);
        else
                result = fsrv__call(number, a, b, regs[REG_RDX], regs[REG_R10], regs[REG_R8], regs[REG_R9]);
        if (result != 0)
                regs[REG_RAX] = result;
        if (!is_clone)
                selector = BLOCK; /* still before the clone */
}

/* glibc puts its own restorer into a sigaction, so ours has to be set by the bare call. (A standby inherits the
 * handler, until it is ready: wire/readiness.h.) */
struct kernel_sigaction {
        void (*handler)(int, siginfo_t *, void *);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
};
#define KERNEL_SA_RESTORER 0x04000000UL

static int install_handler(void) {
        struct kernel_sigaction action = { .handler = on_syscall,
                                           .flags = SA_SIGINFO | KERNEL_SA_RESTORER,
                                           .restorer = fsrv__dispatch_restorer };

        return (int)syscall(SYS_rt_sigaction, SIGSYS, &action, NULL, sizeof action.mask) < 0 ? -errno : 0;
}

static void before_fork(void) {
        if (armed)
                selector = BLOCK;
}

static void after_fork(void) {
        selector = ALLOW;
}

static void after_fork_child(void) {
        selector = ALLOW;
        bind_child();
}

static int set_dispatch(bool on) {
        unsigned long start = (unsigned long)fsrv__dispatch_restorer;
        unsigned long length = (unsigned long)fsrv__dispatch_restorer_end - start;
        int r;

        if (on)
                r = prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, start, length, &selector);
        else
                r = prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0UL, 0UL, NULL);
        return r < 0 ? -errno : 0;
}

static pid_t caught_fork(unsigned long flags, struct bond to) {
        clone_flags = flags;
        caught = false;
        armed = true;
        pid_t pid = bound_fork(to);
        armed = false;
        selector = ALLOW;
        return pid < 0 ? -errno : pid;
}

/* Tries it with a child of this process: whether the handler catches fork()'s clone in this C library and kernel. */
static bool dispatch_works(void) {
        int status;

        if (install_handler() < 0 || set_dispatch(true) < 0)
                return false;
        pid_t pid = caught_fork(0, (struct bond){ .parent = getpid() });
        if (pid == 0)
                _exit(0);
        if (pid > 0)
                fsrv__fork_await(pid, fsrv__patience_left(), &status);
        return pid > 0 && caught;
}

int fsrv__fork_init(void) {
        int r = pthread_atfork(before_fork, after_fork, after_fork_child);

        if (r != 0)
                return -r;
        if (dispatch_works())
                twice = false;
        set_dispatch(false); /* modules may make threads and processes while they load */
        signal(SIGSYS, SIG_DFL);
        return 0;
}

static bool ready; /* from the first standby on nothing but the zygote's loop runs here */

static pid_t fork_once(pid_t server) {
        if (!ready) {
                int r = install_handler(); /* a module may have had its own */
                if (r == 0)
                        r = set_dispatch(true);
                if (r < 0)
                        return r;
                ready = true;
        }
        return caught_fork(CLONE_PARENT, (struct bond){ .parent = server });
}

/* In the heir, where the kernel has switched the dispatch off, and in the zygote: modules may still run in both. */
static void end_dispatch(void) {
        if (!ready)
                return;
        ready = false;
        set_dispatch(false);
        signal(SIGSYS, SIG_DFL);
}

#else

int fsrv__fork_init(void) {
        return -pthread_atfork(NULL, NULL, bind_child);
}

static pid_t fork_once(pid_t server) {
        (void)server;
        return -ENOSYS;
}

static void end_dispatch(void) {
}

#endif

bool fsrv__fork_is_twice(void) {
        return twice;
}

enum { MIDDLE_TOLD = 117 }; /* an exit code that no fork handler is likely to use */

static pid_t fork_twice(int orders, const struct fsrv__wire_config *config) {
        int status;
        pid_t middle = fsrv__fork_helper();

        if (middle < 0)
                return -errno;
        if (middle == 0) {
                pid_t child = bound_fork((struct bond){ .parent = config->server, .middle = getpid() });
                if (child == 0)
                        return 0;
                struct fsrv__wire_order told = { .type = child < 0 ? FSRV_WIRE_CANNOT_FORK : FSRV_WIRE_FORKED };
                told.err = child < 0 ? errno : 0;
                told.value = child;
                fsrv__channel_send(orders, &told, offsetof(struct fsrv__wire_order, text), NULL, 0, 0);
                _exit(MIDDLE_TOLD);
        }
        int r = fsrv__fork_await(middle, config->preload_timeout_ms, &status);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != MIDDLE_TOLD) {
                /* A fork handler has ended it, and would have ended its child; or it hangs. */
                struct fsrv__wire_order told = { .type = FSRV_WIRE_CANNOT_FORK, .err = -r, .value = status };
                fsrv__channel_send(orders, &told, offsetof(struct fsrv__wire_order, text), NULL, 0, 0);
        }
        return FSRV_FORK_TOLD;
}

pid_t fsrv__fork_sibling(int orders, const struct fsrv__wire_config *config) {
        if (twice)
                return fork_twice(orders, config);
        return fork_once(config->server);
}

pid_t fsrv__fork_zygote(const struct fsrv__wire_config *config) {
        pid_t pid = fsrv__fork_sibling(-1, config);

        if (pid == 0)
                end_dispatch();
        return pid;
}

pid_t fsrv__fork_heir(const struct fsrv__wire_config *config) {
        pid_t pid = fsrv__fork_sibling(-1, config);

        end_dispatch();
        return pid;
}
