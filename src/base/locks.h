/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_LOCKS_H
#define FSRV_BASE_LOCKS_H

/* What this kernel can lock a process in with. */

#include <linux/audit.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Landlock's numbers; headers of today's systems don't have them all. */
enum {
        FSRV_LANDLOCK_EXECUTE = 1 << 0,
        FSRV_LANDLOCK_WRITE_FILE = 1 << 1,
        FSRV_LANDLOCK_READ_FILE = 1 << 2,
        FSRV_LANDLOCK_READ_DIR = 1 << 3,
        FSRV_LANDLOCK_REMOVE_DIR = 1 << 4,
        FSRV_LANDLOCK_REMOVE_FILE = 1 << 5,
        FSRV_LANDLOCK_MAKE_CHAR = 1 << 6,
        FSRV_LANDLOCK_MAKE_DIR = 1 << 7,
        FSRV_LANDLOCK_MAKE_REG = 1 << 8,
        FSRV_LANDLOCK_MAKE_SOCK = 1 << 9,
        FSRV_LANDLOCK_MAKE_FIFO = 1 << 10,
        FSRV_LANDLOCK_MAKE_BLOCK = 1 << 11,
        FSRV_LANDLOCK_MAKE_SYM = 1 << 12,
        FSRV_LANDLOCK_REFER = 1 << 13,     /* ABI 2 */
        FSRV_LANDLOCK_TRUNCATE = 1 << 14,  /* ABI 3 */
        FSRV_LANDLOCK_IOCTL_DEV = 1 << 15, /* ABI 5 */

        FSRV_LANDLOCK_BIND_TCP = 1 << 0, /* ABI 4 */
        FSRV_LANDLOCK_CONNECT_TCP = 1 << 1,

        FSRV_LANDLOCK_ABSTRACT_UNIX = 1 << 0, /* ABI 6 */
        FSRV_LANDLOCK_SIGNAL = 1 << 1,
};

/* struct landlock_ruleset_attr; an older kernel takes a shorter one. */
struct fsrv__landlock_handled {
        uint64_t files, net, scopes;
};

/* The ABI of landlock, 1 and up; 0: there is none. */
int fsrv__landlock_abi(void);
/* Tests set it to an older one than the kernel's; -1: the kernel's. */
extern int fsrv__landlock_abi_most;

/* A new ruleset with what is handled, or -errno. What this ABI lacks has to have been left out. */
int fsrv__landlock_new(int abi, const struct fsrv__landlock_handled *handled);

/* The architecture of the calls that this process makes; those of another one have other numbers. 0:
 * filters of our own can't be had. */
#if defined(__x86_64__) && defined(__LP64__)
#define FSRV_AUDIT_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define FSRV_AUDIT_ARCHITECTURE AUDIT_ARCH_I386
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define FSRV_AUDIT_ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__arm__) && defined(__ARMEL__)
#define FSRV_AUDIT_ARCHITECTURE AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64
#define FSRV_AUDIT_ARCHITECTURE AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define FSRV_AUDIT_ARCHITECTURE AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define FSRV_AUDIT_ARCHITECTURE AUDIT_ARCH_S390X
#else
#define FSRV_AUDIT_ARCHITECTURE 0
#endif

/* Whether a process may install a filter of system calls, and whether we can write one. */
bool fsrv__seccomp_is_there(void);
bool fsrv__seccomp_knows_calls(void);
/* Tests set it: there is none. */
extern bool fsrv__seccomp_is_missing;

/* 0 if these namespaces (CLONE_NEW…) can be made, with a user namespace if the caller may not do without; else -errno.
 * *ret_user: whether it takes a user namespace. It makes a process for it, which shares the caller's memory and ends at
 * once. */
int fsrv__namespaces_check(int namespaces, bool *ret_user);
/* Tests set it: user namespaces are forbidden. */
extern bool fsrv__namespaces_are_forbidden;
/* Whether this process has a capability in effect (linux/capability.h). */
bool fsrv__has_capability(int capability);

#endif
