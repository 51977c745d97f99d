/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker/filter.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/call.h"
#include "base/fd.h"
#include "base/locks.h"
#include "base/syscalls.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef FIOSETOWN
#define FIOSETOWN 0x8901
#endif

enum {
        X32_BIT = 0x40000000,
        NEW_NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                         CLONE_NEWNET,
        NEW_TIME = 0x80,      /* for unshare(2) alone */
        NOEXEC_SEAL = 1 << 3, /* MFD_NOEXEC_SEAL (Linux 6.3) */
        SET_ID = S_ISUID | S_ISGID,
        CREATES = O_CREAT | (O_TMPFILE & ~O_DIRECTORY),
};
#ifdef __s390x__
enum { CLONE_FLAGS = 1 };
#else
enum { CLONE_FLAGS = 0 };
#endif

/* ---- calls that are refused by an argument ---- */

enum test { IS, IS_NOT, HAS, LACKS };

struct condition {
        char call[24];
        uint16_t group;
        uint8_t argument;
        uint8_t test; /* refused if the low half of the argument IS value, HAS one of its bits, … */
        uint32_t value;
        bool high;        /* the argument's high half */
        uint8_t flags;    /* if not 0: only if this argument, counted from 1, */
        uint32_t has_any; /* has one of these bits too */
};

#define WHEN(call, group, argument, test, value) \
        { call, FSRV_REFUSE_##group, argument, test, value, false, 0, 0 }
#define WHEN_HIGH(call, group, argument, test, value) \
        { call, FSRV_REFUSE_##group, argument, test, value, true, 0, 0 }
#define WHEN_CREATED(call, group, argument, test, value, flags) \
        { call, FSRV_REFUSE_##group, argument, test, value, false, flags, CREATES }
#define FSRV_REFUSE_ANY 0xFFFF

static const struct condition conditions[] = {
        /* of another process than the caller: a pid that is not 0; PRIO_PROCESS is 0, IOPRIO_WHO_PROCESS 1 */
        WHEN("prlimit64", OTHERS, 0, IS_NOT, 0),
        WHEN("sched_setaffinity", OTHERS, 0, IS_NOT, 0),
        WHEN("sched_setattr", OTHERS, 0, IS_NOT, 0),
        WHEN("sched_setparam", OTHERS, 0, IS_NOT, 0),
        WHEN("sched_setscheduler", OTHERS, 0, IS_NOT, 0),
        WHEN("get_robust_list", OTHERS, 0, IS_NOT, 0),
        WHEN("move_pages", OTHERS, 0, IS_NOT, 0),
        WHEN("migrate_pages", OTHERS, 0, IS_NOT, 0),
        WHEN("setpriority", OTHERS, 0, IS_NOT, 0),
        WHEN("setpriority", OTHERS, 1, IS_NOT, 0),
        WHEN("ioprio_set", OTHERS, 0, IS_NOT, 1),
        WHEN("ioprio_set", OTHERS, 1, IS_NOT, 0),
        /* signals that the kernel sends for the caller; input of another's terminal */
        WHEN("fcntl", OTHERS, 1, IS, F_SETOWN),
        WHEN("fcntl", OTHERS, 1, IS, F_SETOWN_EX),
        WHEN("fcntl64", OTHERS, 1, IS, F_SETOWN),
        WHEN("fcntl64", OTHERS, 1, IS, F_SETOWN_EX),
        WHEN("ioctl", OTHERS, 1, IS, FIOSETOWN),
        WHEN("ioctl", OTHERS, 1, IS, SIOCSPGRP),
        WHEN("ioctl", OTHERS, 1, IS, TIOCSTI),
        WHEN("ioctl", OTHERS, 1, IS, TIOCLINUX),
        WHEN("ioctl", METADATA, 1, IS, (uint32_t)FS_IOC_SETFLAGS),
        WHEN("ioctl", METADATA, 1, IS, (uint32_t)FS_IOC_FSSETXATTR),
        /* a line discipline of the kernel's for a terminal */
        WHEN("ioctl", KERNEL, 1, IS, TIOCSETD),
        /* files that give others the rights of their owner; without O_CREAT the mode may be anything */
        WHEN_CREATED("open", METADATA, 2, HAS, SET_ID, 2),
        WHEN_CREATED("openat", METADATA, 3, HAS, SET_ID, 3),
        WHEN("creat", METADATA, 1, HAS, SET_ID),
        WHEN("mknod", METADATA, 1, HAS, SET_ID),
        WHEN("mknodat", METADATA, 2, HAS, SET_ID),
        WHEN("mkdir", METADATA, 1, HAS, SET_ID),
        WHEN("mkdirat", METADATA, 2, HAS, SET_ID),
        WHEN("clone", NAMESPACES, CLONE_FLAGS, HAS, NEW_NAMESPACES),
        WHEN("unshare", NAMESPACES, 0, HAS, NEW_NAMESPACES | NEW_TIME),
        WHEN("personality", KERNEL, 0, IS_NOT, UINT32_MAX), /* which asks for it */
        WHEN("prctl", KERNEL, 0, IS, PR_SET_MM),
        /* to an address, and not to the other end */
        WHEN("sendto", NETWORK, 4, IS_NOT, 0),
        WHEN_HIGH("sendto", NETWORK, 4, IS_NOT, 0),
        /* those of AF_UNIX alone, and none of datagrams, which can be sent to other addresses */
        WHEN("socketpair", NETWORK, 0, IS_NOT, AF_UNIX),
        WHEN("socketpair", NETWORK, 1, HAS, SOCK_DGRAM),
        /* socket, bind, connect, listen, accept, accept4; socketpair */
        WHEN("socketcall", NETWORK, 0, IS, 1),
        WHEN("socketcall", NETWORK, 0, IS, 2),
        WHEN("socketcall", NETWORK, 0, IS, 3),
        WHEN("socketcall", NETWORK, 0, IS, 4),
        WHEN("socketcall", NETWORK, 0, IS, 5),
        WHEN("socketcall", NETWORK, 0, IS, 18),
        WHEN("socketcall", SOCKETS, 0, IS, 8),
};

/* Where execve(2) is allowed, for landlock to say which files: a memfd is none that landlock knows of. */
static const struct condition program_conditions[] = {
        WHEN("memfd_create", EXEC, 1, LACKS, NOEXEC_SEAL),
};

/* Of two filters that ask a listener the newer one's is asked. It would let the call go on (once ours has died; before,
 * the kernel allows no second one). */
static const struct condition own_listener = WHEN("seccomp", ANY, 1, HAS, SECCOMP_FILTER_FLAG_NEW_LISTENER);

/* A zygote forks by clone(2). */
static const struct condition late_conditions[] = {
        WHEN("clone", FORK, CLONE_FLAGS, LACKS, CLONE_THREAD),
};

static const struct condition other_pid = WHEN("tgkill", OTHERS, 0, IS_NOT, 0);

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

/* Where half of an argument lies. */
static size_t offset_of(int argument, bool high) {
        bool second = high == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

        return offsetof(struct seccomp_data, args) + 8 * (size_t)argument + (second ? 4 : 0);
}

static void append_condition(struct program *program, const struct condition *condition) {
        int number = fsrv__syscall_find(condition->call);

        if (number < 0)
                return;
        load(program, offsetof(struct seccomp_data, nr));
        append(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, condition->flags ? 5 : 3);
        if (condition->flags) {
                load(program, offset_of(condition->flags - 1, false));
                append(program, BPF_JMP | BPF_JSET | BPF_K, condition->has_any, 0, 3);
        }
        load(program, offset_of(condition->argument, condition->high));
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
        answer_if(program, BPF_JEQ, FSRV_AUDIT_ARCHITECTURE, false,
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

/* What has its flags in memory, where a filter can't look. The C library, and others, fall back to the older call. */
static void append_unseen(struct program *program, const char *call) {
        int number = fsrv__syscall_find(call);

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

uint32_t fsrv__filter_groups(const struct fsrv__sandbox_parts *sandbox) {
        bool has_scopes = sandbox->head.flags & FSRV_LOCK_SCOPES && fsrv__landlock_abi() >= 6;
        uint32_t refused = sandbox->head.refused;

        if (refused & FSRV_REFUSE_SOCKETS) /* the greater one */
                refused |= FSRV_REFUSE_NETWORK;
        if (refused & FSRV_REFUSE_OTHERS && !has_scopes)
                refused |= FSRV_REFUSE_SIGNALS;
        return refused;
}

int fsrv__filter_write(const struct fsrv__sandbox_parts *sandbox, bool listens,
                       struct sock_filter filter[FSRV_FILTER_ROOM]) {
        uint32_t flags = sandbox->head.flags, refused = fsrv__filter_groups(sandbox);
        struct program program = { .at = filter, .room = FSRV_FILTER_ROOM, .answer = answer_of(flags, listens) };

        if (refused == 0)
                return 0;
        if (FSRV_AUDIT_ARCHITECTURE == 0)
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
        if (refused & (FSRV_REFUSE_NAMESPACES | FSRV_REFUSE_FORK))
                append_unseen(&program, "clone3");
        if (refused & FSRV_REFUSE_METADATA && !(refused & FSRV_REFUSE_FILES))
                append_unseen(&program, "openat2");
        append_conditions(&program, conditions, sizeof conditions / sizeof *conditions, refused);
        if (flags & FSRV_LOCK_PROGRAM)
                append_conditions(&program, program_conditions, sizeof program_conditions / sizeof *program_conditions,
                                  refused);
        return finish(&program);
}

/* raise(3) and abort(3) send a signal to the process itself, and landlock tells that from others since ABI 6. Before, a
 * filter that knows the process's pid has to. A child that a worker makes can't send signals to itself then; programs
 * make children all the time, so they are left out. */
static bool needs_own_pid(const struct fsrv__sandbox_parts *sandbox) {
        return sandbox->head.flags & FSRV_LOCK_SCOPES && sandbox->head.refused & FSRV_REFUSE_OTHERS &&
               !(sandbox->head.flags & FSRV_LOCK_PROGRAM) && fsrv__landlock_abi() < 6;
}

/* Few instructions: each standby installs it, and the kernel tries each call with it then. The sandbox's own filter has
 * refused calls of other architectures, and the other ways to make processes. */
int fsrv__filter_write_late(const struct fsrv__sandbox_parts *sandbox, struct sock_filter filter[FSRV_FILTER_LATE_ROOM],
                            int *ret_pid) {
        uint32_t flags = sandbox->head.flags, refused = sandbox->head.refused & FSRV_REFUSE_FORK;
        struct program program = { .at = filter, .room = FSRV_FILTER_LATE_ROOM, .answer = answer_of(flags, false) };

        *ret_pid = -1;
        if (refused == 0 && !needs_own_pid(sandbox))
                return 0;
        if (FSRV_AUDIT_ARCHITECTURE == 0)
                return -EOPNOTSUPP;
        append_conditions(&program, late_conditions, sizeof late_conditions / sizeof *late_conditions, refused);
        if (needs_own_pid(sandbox)) {
                append_condition(&program, &other_pid);
                *ret_pid = program.n - 2; /* the comparison, before the answer */
        }
        return finish(&program);
}

uint32_t fsrv__filter_group(int number) {
        const char *name = fsrv__syscall_name(number);

        for (size_t i = 0; i < fsrv__n_syscalls; i++)
                if (fsrv__syscalls[i].group && fsrv__syscall_number(&fsrv__syscalls[i]) == number)
                        return fsrv__syscalls[i].group;
        for (size_t i = 0; name && i < sizeof conditions / sizeof *conditions; i++)
                if (strcmp(conditions[i].call, name) == 0)
                        return conditions[i].group;
        return 0;
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
