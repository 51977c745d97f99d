/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WORKER_WORKER_H
#define FSRV_WORKER_WORKER_H

/* From standby to entry or exec. A process goes through these once, in this order, and returns from none of it:
 * fsrv__standby() -> claim -> fsrv__worker_main(): receive the rest, set up, STARTED, run. For most programs a process
 * that borrows the standby's memory goes through what follows the receiving. */

#include <stdbool.h>
#include <sys/resource.h>

#include "forkserver-host.h"
#include "wire/channel.h"
#include "wire/request_codec.h"

/* What a standby has from the zygote. */
struct fsrv__birth {
        int doorbell; /* receiving end */
        int claims;
        const struct fsrv__wire_config *config;
        const struct fsrv_host *host;
        uint64_t core_filter; /* what a program's /proc/self/coredump_filter is to be, plus one; 0: as it is */
};

/* A request as it was taken from the doorbell, and what it takes to answer it. Owns its fds. */
struct fsrv__task {
        const struct fsrv__birth *birth;
        int claims;
        int pidfd; /* our own, opened ahead; -1 if the kernel has none */
        int answer;
        int doorbell; /* sending end */
        int lifeline;
        int tracker; /* -1: none */
        int directory;
        int memfd; /* the body's; -1 */
        int *fds;  /* the caller's, head.n_fds of them */
        bool has_claimed;
        struct ucred client;
        struct fsrv__request_parts request;
        /* what request points to, when it fits, the environment first: no malloc on the usual way to the start */
        char *lists[240];
};

/* What a standby, or a worker, has of its own: the request that it has received, and what became of it. Nothing writes
 * to it before the fork, so a request lies in the memory of the process alone that runs it. */
struct fsrv__own {
        struct fsrv__task task;
        struct fsrv__message message;
};
extern struct fsrv__own fsrv__own;
extern char fsrv__own_buffer[FSRV_WIRE_MESSAGE_MAX]; /* the bytes of that message */

/* own.c: has `environ` point to the task's lists, where a worker's environment comes first: it lies on a page that a
 * worker writes to for nothing else, so it is set once, in the zygote. */
void fsrv__own_adopt_environment(void);

/* Waits on the doorbell for a request and becomes its worker. */
_Noreturn void fsrv__standby(const struct fsrv__birth *birth);

/* loan.c: has a child of our parent's call the borrower with our memory, until it executes a program or ends. It gets
 * the message's fds, which are closed here. 0: the memory is ours alone again. -errno: there is no such child. When it
 * takes its time, or dies before the server knows of it, this process ends, as a standby less for the server. */
int fsrv__lend(const struct fsrv__birth *birth, void (*borrower)(const struct fsrv__birth *birth),
               struct fsrv__message *message);

/* The claimed task's way to its end. `body` is what came with the head, when it isn't in the memfd. */
_Noreturn void fsrv__worker_main(struct fsrv__task *task, const struct fsrv__wire_request *head, const void *body);

/* setup.c: the attributes. 0, or -errno and *error. */
void fsrv__setup_watchdog(uint32_t limit_ms); /* until STARTED: ends us when it takes longer; 0: no limit */
void fsrv__setup_watchdog_off(void);
int fsrv__setup_signals(const struct fsrv__wire_request *head, struct fsrv_error *error);
int fsrv__setup_group(const struct fsrv__wire_request *head, struct fsrv_error *error);
int fsrv__setup_directory(const struct fsrv__task *task, struct fsrv_error *error);
/* Last of all before user code: signals that came meanwhile are delivered now. */
void fsrv__setup_unblock(const struct fsrv__wire_request *head);

/* actions.c: puts the fds in place. */
int fsrv__actions_run(struct fsrv__task *task, struct fsrv_error *error);

/* run.c */
_Noreturn void fsrv__run_program(struct fsrv__task *task);
_Noreturn void fsrv__run_entry(struct fsrv__task *task);

/* A program's /proc/self/coredump_filter as the zygote found it; or again as its frozen memory needs it. */
void fsrv__core_filter_restore(const struct fsrv__birth *birth);
void fsrv__core_filter_widen(const struct fsrv__birth *birth);

/* Tells the client (on `sock`: the answer socket, or the exec pipe) and the server, and ends. */
_Noreturn void fsrv__worker_fail(struct fsrv__task *task, int sock, const struct fsrv_error *error);

#endif
