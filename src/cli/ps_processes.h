/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_PS_PROCESSES_H
#define FORKSERVER_CLI_PS_PROCESSES_H

/* All processes of this pid namespace as /proc tells them, read once for all that is to be shown. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PS_NOBODY = -1 };

struct ps_process {
        pid_t pid, parent, group;
        char name[64]; /* comm; longer than 15 bytes only for kernel threads */
        char state;
        uint64_t threads;
        uint64_t cpu_ms; /* its own time, and that of children that it has waited for */
        uint64_t age_ms;
        uint64_t start; /* in ticks since the boot: with the pid it is one process's alone */
        long owner;     /* the number of the listed process whose family it belongs to; PS_NOBODY */
};

struct ps_processes {
        struct ps_process *list; /* by pid */
        size_t n;
};

/* 0, or -errno: there is no /proc. What ends meanwhile is left out. */
int ps_processes_read(struct ps_processes *ret_processes);
void ps_processes_done(struct ps_processes *processes);
struct ps_process *ps_processes_find(const struct ps_processes *processes, pid_t pid);
/* Sets each one's owner: the one of pids[0] to pids[n - 1] that it is, that it descends from, or whose process group it
 * is in. The nearest one counts. Others than these have no owner. */
void ps_processes_own(struct ps_processes *processes, const pid_t *pids, size_t n);

/* How much memory the process has that no other one has: what isn't of files or shared. With `pss` it is the
 * proportional share of all, which takes the kernel longer. 0; or -errno: we may not know. */
int ps_memory_read(pid_t pid, bool pss, uint64_t *ret_bytes);
/* The command line, with a blank between arguments; "" if there is none (a zombie's). NULL: it can't be read. free()
 * it.
 */
char *ps_command_read(pid_t pid);

#endif
