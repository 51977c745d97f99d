/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_ITEM_H
#define TORTURE_ITEM_H

/* Processes whose end is known beforehand. All that happens to them is written to the log. */

#include <forkserver.h>
#include <stdbool.h>
#include <stdint.h>

struct options {
        unsigned id, threads, standbys;
        bool server_dies, cores, sandboxes;
        int log_fd;
        const char *log, *ran, *report, *shared_memory, *socket, *module;
};
extern struct options options;
extern struct fsrv_server *server;
extern struct fsrv_sandbox *sandboxes[2]; /* NULL in versions without */

enum { BATCH = 6 }; /* of one fsrv_spawn_many() */

enum kind { EXITS, NAPS, DIES, DUMPS, IS_KILLED, IS_LIMITED, PROGRAM, MANY, CLASSIC, RUN };

struct item {
        unsigned long number;
        unsigned place; /* of its thread and window: nobody else has it at the same time */
        enum kind kind;
        int exit_code, signal;
        uint32_t flags; /* of the status */
        int n_processes;
        struct fsrv_process *processes[BATCH];
        int status_fd; /* of a classic call, instead of processes; -1 */
        int64_t pid;
};

#define NO_ITEM \
        { .status_fd = -1 }

int64_t now_ns(void);
/* Number i of many, in that place. */
struct item item_of(unsigned long i, unsigned place);
void item_spawn(struct item *item);
/* Waits for its end, if it was spawned, and compares; of a batch the worst is told. */
void item_check(struct item *item);

#endif
