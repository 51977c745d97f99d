/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_SYSCALLS_H
#define FSRV_BASE_SYSCALLS_H

/* The system calls by name, with their numbers here and their groups (enum fsrv_refuse in forkserver.h). */

#include <stddef.h>
#include <stdint.h>

/* One group more: what FSRV_REFUSE_OTHERS refuses unless landlock tells a process's own children from others. */
#define FSRV_REFUSE_SIGNALS (1u << 15)

struct fsrv__syscall {
        char name[32];
        char number[36]; /* what the compiler's headers write for it; another text if there is no such call here */
        uint32_t group;  /* enum fsrv_refuse: any of them refuses it; 0: none does */
};

extern const struct fsrv__syscall fsrv__syscalls[];
extern const size_t fsrv__n_syscalls;

/* The number of a call on this architecture, or -1. */
int fsrv__syscall_number(const struct fsrv__syscall *call);
int fsrv__syscall_find(const char *name);
/* The name of a call; NULL if it isn't in the table. Static. */
const char *fsrv__syscall_name(int number);
/* The highest number in the table. */
int fsrv__syscall_last(void);

#endif
