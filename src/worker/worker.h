/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WORKER_WORKER_H
#define FSRV_WORKER_WORKER_H

/* From standby to entry point or exec. A process goes through these once, in this order, and returns from none of them:
 * fsrv__standby_run() -> claim -> fsrv__worker_main(): receive the rest, set up, STARTED, run. For most programs it is
 * a process that borrows the standby's memory that does what follows the receiving (loan.c). */

#include <stdbool.h>
#include <sys/resource.h>

#include "forkserver-host.h"
#include "wire/channel.h"
#include "wire/request_codec.h"
#include "worker/lock.h"

/* What a standby has from its zygote. */
struct fsrv__standby {
        int doorbell; /* receiving end */
        int claims;
        const struct fsrv__wire_config *config;
        const struct fsrv_host *host;  /* what runs entry points: of shared objects, or of an interpreter */
        uint64_t core_filter;          /* what a program's /proc/self/coredump_filter is to be, plus one; 0: as it is */
        const struct fsrv__lock *lock; /* the zygote's sandbox; NULL: it has none */
        bool may_spawn;                /* in that sandbox workers may spawn, into the same one */
};

/* A request that was taken from the doorbell, and what it takes to answer it. Owns its fds. */
struct fsrv__task {
        const struct fsrv__standby *standby;
        int claims;
        int pidfd; /* this process's own, opened ahead; -1 if the kernel has none */
        int answer;
        int doorbell; /* sending end */
        int lifeline;
        int tracker; /* -1: none */
        int directory;
        int memfd;  /* the body's; -1 */
        int result; /* -1: none is wanted */
        int file;   /* with the payload; -1 */
        int *fds;   /* the caller's, head.n_fds of them */
        bool has_claimed;
        struct ucred client;
        struct fsrv__request_parts request;
        /* what `request` points to, if it fits, the environment first: so most starts need no malloc */
        char *lists[240];
};

/* task.c: the one task that this process has, the message that it came in, and the bytes of that. Nothing writes to
 * them before the fork, so a request lies in the memory of the process alone that runs it. */
extern struct fsrv__task fsrv__task;
extern struct fsrv__message fsrv__task_message;
extern char fsrv__task_bytes[FSRV_WIRE_MESSAGE_MAX];

/* task.c: has `environ` point to the task's lists, where a worker's environment comes first. `environ` itself lies on a
 * page that a worker writes to for nothing else, so it is set once, in the zygote. */
void fsrv__task_adopt_environment(void);

/* Waits on the doorbell for a request and becomes its worker. */
_Noreturn void fsrv__standby_run(const struct fsrv__standby *standby);

/* loan.c: makes a process, a child of this one's parent, that calls `borrower` with this one's memory, until it
 * executes a program or ends. It gets the message's fds, which are closed here. 0: the memory belongs to this process
 * alone again. -errno: no such process was made. Where that takes long, or ends before the server knows of it, this
 * process ends, and the server has a standby less. */
int fsrv__loan_make(const struct fsrv__standby *standby, void (*borrower)(const struct fsrv__standby *standby),
                    struct fsrv__message *message);

/* The claimed task's way to its end. `body` is what came with the head, when it isn't in the memfd. */
_Noreturn void fsrv__worker_main(struct fsrv__task *task, const struct fsrv__wire_request *head, const void *body);

/* setup.c: the attributes. 0, or -errno and *error. */
void fsrv__setup_watchdog(uint32_t limit_ms); /* ends this process if it takes longer until STARTED; 0: no limit */
void fsrv__setup_watchdog_off(void);
int fsrv__setup_signals(const struct fsrv__wire_request *head, struct fsrv_error *error);
int fsrv__setup_group(const struct fsrv__wire_request *head, struct fsrv_error *error);
int fsrv__setup_directory(const struct fsrv__task *task, struct fsrv_error *error);
/* For a debugger, which the client starts: stops this process, if the request says so. */
void fsrv__setup_stop(const struct fsrv__task *task);
/* Last of all before user code: signals that came meanwhile are delivered now. */
void fsrv__setup_unblock(const struct fsrv__wire_request *head);

/* actions.c: puts the fds in place. */
int fsrv__actions_run(struct fsrv__task *task, struct fsrv_error *error);

/* result.c: has the result sent when the process ends by itself. 0 or -errno. */
int fsrv__result_begin(void);

/* run.c */
_Noreturn void fsrv__run_program(struct fsrv__task *task);
_Noreturn void fsrv__run_entry(struct fsrv__task *task);

/* Sets /proc/self/coredump_filter as a program is to have it; or as the zygote's frozen memory needs it. */
void fsrv__core_filter_restore(const struct fsrv__standby *standby);
void fsrv__core_filter_widen(const struct fsrv__standby *standby);

/* Tells the client (on `sock`: the answer socket, or the exec pipe) and the server, and ends. */
_Noreturn void fsrv__task_fail(struct fsrv__task *task, int sock, const struct fsrv_error *error);

#endif
