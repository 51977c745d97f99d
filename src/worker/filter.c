/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker/filter.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/call.h"
#include "base/fd.h"
#include "base/syscalls.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef FIOSETOWN
#define FIOSETOWN 0x8901
#endif

/* The architecture of the calls that this process makes; those of another one have other numbers. */
#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define ARCHITECTURE AUDIT_ARCH_I386
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__arm__) && defined(__ARMEL__)
#define ARCHITECTURE AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define ARCHITECTURE AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define ARCHITECTURE AUDIT_ARCH_S390X
#else
#define ARCHITECTURE 0
#endif

enum {
        X32_BIT = 0x40000000,
        NEW_NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                         CLONE_NEWNET,
        NEW_TIME = 0x80,     /* for unshare(2) alone */
        NOEXEC_SEAL = 1 << 3 /* MFD_NOEXEC_SEAL (Linux 6.3) */
};
#ifdef __s390x__
enum { CLONE_FLAGS = 1 };
#else
enum { CLONE_FLAGS = 0 };
#endif

/* ---- calls that are refused by an argument ---- */

enum test { IS, IS_NOT, HAS, LACKS };

static const struct condition {
        char call[24];
        uint16_t group;
        uint8_t argument;
        uint8_t test; /* refused if the low half of the argument IS value, HAS one of its bits, … */
        uint32_t value;
        bool high; /* the argument's high half */
} conditions[] = {
        /* of another process than the caller: a pid that isn't 0 */
        { "prlimit64", FSRV_REFUSE_OTHERS, 0, IS_NOT, 0, false },
        { "sched_setaffinity", FSRV_REFUSE_OTHERS, 0, IS_NOT, 0, false },
        { "sched_setattr", FSRV_REFUSE_OTHERS, 0, IS_NOT, 0, false },
        { "sched_setparam", FSRV_REFUSE_OTHERS, 0, IS_NOT, 0, false },
        { "sched_setscheduler", FSRV_REFUSE_OTHERS, 0, IS_NOT, 0, false },
        { "get_robust_list", FSRV_REFUSE_OTHERS, 0, IS_NOT, 0, false },
        { "move_pages", FSRV_REFUSE_OTHERS, 0, IS_NOT, 0, false },
        { "migrate_pages", FSRV_REFUSE_OTHERS, 0, IS_NOT, 0, false },
        { "setpriority", FSRV_REFUSE_OTHERS, 0, IS_NOT, 0 /* PRIO_PROCESS */, false },
        { "setpriority", FSRV_REFUSE_OTHERS, 1, IS_NOT, 0, false },
        { "ioprio_set", FSRV_REFUSE_OTHERS, 0, IS_NOT, 1 /* IOPRIO_WHO_PROCESS */, false },
        { "ioprio_set", FSRV_REFUSE_OTHERS, 1, IS_NOT, 0, false },
        /* signals that the kernel sends for the caller; input of another's terminal */
        { "fcntl", FSRV_REFUSE_OTHERS, 1, IS, F_SETOWN, false },
        { "fcntl", FSRV_REFUSE_OTHERS, 1, IS, F_SETOWN_EX, false },
        { "fcntl64", FSRV_REFUSE_OTHERS, 1, IS, F_SETOWN, false },
        { "fcntl64", FSRV_REFUSE_OTHERS, 1, IS, F_SETOWN_EX, false },
        { "ioctl", FSRV_REFUSE_OTHERS, 1, IS, FIOSETOWN, false },
        { "ioctl", FSRV_REFUSE_OTHERS, 1, IS, SIOCSPGRP, false },
        { "ioctl", FSRV_REFUSE_OTHERS, 1, IS, TIOCSTI, false },
        { "ioctl", FSRV_REFUSE_OTHERS, 1, IS, TIOCLINUX, false },
        { "ioctl", FSRV_REFUSE_METADATA, 1, IS, (uint32_t)FS_IOC_SETFLAGS, false },
        { "ioctl", FSRV_REFUSE_METADATA, 1, IS, (uint32_t)FS_IOC_FSSETXATTR, false },
        { "clone", FSRV_REFUSE_NAMESPACES, CLONE_FLAGS, HAS, NEW_NAMESPACES, false },
        { "unshare", FSRV_REFUSE_NAMESPACES, 0, HAS, NEW_NAMESPACES | NEW_TIME, false },
        { "personality", FSRV_REFUSE_KERNEL, 0, IS_NOT, UINT32_MAX, false }, /* which asks for it */
        { "prctl", FSRV_REFUSE_KERNEL, 0, IS, PR_SET_MM, false },
        /* to an address, and not to the other end */
        { "sendto", FSRV_REFUSE_NETWORK, 4, IS_NOT, 0, false },
        { "sendto", FSRV_REFUSE_NETWORK, 4, IS_NOT, 0, true },
        /* socket, bind, connect, listen, accept, accept4; socketpair */
        { "socketcall", FSRV_REFUSE_NETWORK, 0, IS, 1, false },
        { "socketcall", FSRV_REFUSE_NETWORK, 0, IS, 2, false },
        { "socketcall", FSRV_REFUSE_NETWORK, 0, IS, 3, false },
        { "socketcall", FSRV_REFUSE_NETWORK, 0, IS, 4, false },
        { "socketcall", FSRV_REFUSE_NETWORK, 0, IS, 5, false },
        { "socketcall", FSRV_REFUSE_NETWORK, 0, IS, 18, false },
        { "socketcall", FSRV_REFUSE_SOCKETS, 0, IS, 8, false },
};

/* Where execve(2) is allowed, for landlock to say which files: a memfd is none that landlock knows of. */
static const struct condition program_conditions[] = {
        { "memfd_create", FSRV_REFUSE_EXEC, 1, LACKS, NOEXEC_SEAL, false },
};

/* Of two filters that ask a listener the newer one's is asked. It would let the call go on (once ours has died; before,
 * the kernel allows no second one). */
static const struct condition own_listener = { "seccomp", 0, 1, HAS, SECCOMP_FILTER_FLAG_NEW_LISTENER, false };

static const struct condition late_conditions[] = {
        { "clone", FSRV_REFUSE_FORK, CLONE_FLAGS, LACKS, CLONE_THREAD, false },
};

/* ---- writing ---- */

struct program {
        struct sock_filter *at;
        int n, room;
        uint32_t answer; /* to a refused call */
};

static void append(struct program *program, uint16_t code, uint32_t k, uint8_t if_true, uint8_t if_false) {
        if (program->n < program->room)
                program->at[program->n++] = (struct sock_filter){ .code = code, .jt = if_true, .jf = if_false, .k = k };
}

static void load(struct program *program, size_t offset) {
        append(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void answer_if(struct program *program, uint16_t jump, uint32_t value, bool is_true, uint32_t answer) {
        append(program, BPF_JMP | jump | BPF_K, value, !is_true, is_true);
        append(program, BPF_RET | BPF_K, answer, 0, 0);
}

static size_t offset_of(const struct condition *condition) {
        bool second = condition->high == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

        return offsetof(struct seccomp_data, args) + 8 * (size_t)condition->argument + (second ? 4 : 0);
}

static void append_condition(struct program *program, const struct condition *condition) {
        int number = fsrv__syscall_find(condition->call);

        if (number < 0)
                return;
        load(program, offsetof(struct seccomp_data, nr));
        append(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 3);
        load(program, offset_of(condition));
        answer_if(program, condition->test < HAS ? BPF_JEQ : BPF_JSET, condition->value,
                  condition->test == IS || condition->test == HAS, program->answer);
}

static void append_conditions(struct program *program, const struct condition *list, size_t n, uint32_t refused) {
        for (size_t i = 0; i < n; i++)
                if (list[i].group & refused)
                        append_condition(program, &list[i]);
}

/* Calls of another architecture, and of x32, which have other numbers: the kernel's answer where it has none of them.
 */
static void begin(struct program *program, uint32_t flags) {
        load(program, offsetof(struct seccomp_data, arch));
        answer_if(program, BPF_JEQ, ARCHITECTURE, false,
                  flags & FSRV_LOCK_KILLS ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | ENOSYS);
        load(program, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
        answer_if(program, BPF_JGE, X32_BIT, true, SECCOMP_RET_ERRNO | ENOSYS);
#endif
}

static void append_calls(struct program *program, uint32_t refused, uint32_t flags) {
        int sockets = fsrv__syscall_find("socketpair"), exec = fsrv__syscall_find("execve"),
            execat = fsrv__syscall_find("execveat");

        for (size_t i = 0; i < fsrv__n_syscalls; i++) {
                int number = fsrv__syscall_number(&fsrv__syscalls[i]);
                bool is_needed = (number == sockets && flags & FSRV_LOCK_SPAWNS) ||
                                 ((number == exec || number == execat) && flags & FSRV_LOCK_PROGRAM);

                if (number >= 0 && fsrv__syscalls[i].group & refused && !is_needed)
                        answer_if(program, BPF_JEQ, (uint32_t)number, true, program->answer);
        }
}

/* The C library falls back to clone(2), whose flags can be looked at. */
static void append_clone3(struct program *program) {
        int number = fsrv__syscall_find("clone3");

        if (number >= 0)
                answer_if(program, BPF_JEQ, (uint32_t)number, true, SECCOMP_RET_ERRNO | ENOSYS);
}

static uint32_t answer_of(uint32_t flags, bool listens) {
        if (listens) /* the server kills, and knows for what */
                return SECCOMP_RET_USER_NOTIF;
        return flags & FSRV_LOCK_KILLS ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM;
}

static int finish(struct program *program) {
        append(program, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
        return program->n < program->room ? program->n : -E2BIG;
}

int fsrv__filter_write(const struct fsrv__sandbox_parts *sandbox, bool listens,
                       struct sock_filter filter[FSRV_FILTER_ROOM]) {
        uint32_t flags = sandbox->head.flags, refused = sandbox->head.refused & ~(uint32_t)FSRV_REFUSE_FORK;
        struct program program = { .at = filter, .room = FSRV_FILTER_ROOM, .answer = answer_of(flags, listens) };

        if (refused & FSRV_REFUSE_SOCKETS)
                refused |= FSRV_REFUSE_NETWORK;
        if (refused == 0)
                return 0;
        if (ARCHITECTURE == 0)
                return -EOPNOTSUPP;
        begin(&program, flags);
#ifndef __arm__                           /* some of its calls lie apart */
        if (refused & FSRV_REFUSE_KERNEL) /* what is newer than the table */
                answer_if(&program, BPF_JGT, (uint32_t)fsrv__syscall_last(), true, SECCOMP_RET_ERRNO | ENOSYS);
#endif
        program.answer = SECCOMP_RET_ERRNO | EPERM;
        append_condition(&program, &own_listener);
        program.answer = answer_of(flags, listens);
        append_calls(&program, refused, flags);
        if (refused & FSRV_REFUSE_NAMESPACES)
                append_clone3(&program);
        append_conditions(&program, conditions, sizeof conditions / sizeof *conditions, refused);
        if (flags & FSRV_LOCK_PROGRAM)
                append_conditions(&program, program_conditions, sizeof program_conditions / sizeof *program_conditions,
                                  refused);
        return finish(&program);
}

int fsrv__filter_write_late(const struct fsrv__sandbox_parts *sandbox,
                            struct sock_filter filter[FSRV_FILTER_LATE_ROOM]) {
        uint32_t flags = sandbox->head.flags, refused = sandbox->head.refused & FSRV_REFUSE_FORK;
        struct program program = { .at = filter, .room = FSRV_FILTER_LATE_ROOM, .answer = answer_of(flags, false) };

        if (refused == 0)
                return 0;
        if (ARCHITECTURE == 0)
                return -EOPNOTSUPP;
        begin(&program, flags);
        append_calls(&program, refused, flags);
        append_clone3(&program);
        append_conditions(&program, late_conditions, sizeof late_conditions / sizeof *late_conditions, refused);
        return finish(&program);
}

int fsrv__filter_install(const struct sock_filter *filter, size_t n, bool listens) {
        struct sock_fprog program = { .len = (unsigned short)n, .filter = (struct sock_filter *)filter };
        unsigned long flags = listens ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
        long r = -EINVAL;

        /* Where the kernel can (5.19), signals don't interrupt a call that waits for the answer. */
        if (listens)
                r = fsrv__call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
                               &program);
        if (r == -EINVAL)
                r = fsrv__call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
        return listens ? fsrv__fd_raise((int)r) : (int)r;
}
