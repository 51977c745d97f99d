/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/call.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "base/probe.h"
#include "base/title.h"
#include "wire/inherited.h"
#include "wire/messages.h"
#include "wire/readiness.h"
#include "worker/attributes.h"
#include "worker/worker.h"

/* Answers a request that was not claimed. What is there of it may be anything, so this never blocks, and the answer may
 * not arrive. */
static void send_answer(const void *bytes, size_t size) {
        if (fsrv__task_message.n_fds > 0)
                fsrv__channel_send(fsrv__task_message.fds[0], bytes, size, NULL, 0, MSG_DONTWAIT);
        fsrv__message_close(&fsrv__task_message);
        memset(fsrv__task_bytes, 0, fsrv__task_message.size); /* not for the request that this process will run */
}

static void refuse_request(const struct fsrv_error *error) {
        struct fsrv__wire_failed failed = { .type = FSRV_WIRE_FAILED, .stage = error->stage, .err = error->err };

        memcpy(failed.text, error->text, sizeof failed.text);
        send_answer(&failed, sizeof failed);
}

/* To hold the doorbell is not enough: a worker that gave up its privileges still holds it. */
static int check_sender(const struct fsrv__wire_config *config, struct fsrv_error *error) {
        uid_t uid = fsrv__task_message.sender.uid;

        if (uid == fsrv__euid() || uid == 0)
                return 0;
        for (uint32_t i = 0; i < config->n_uids; i++)
                if (uid == config->uids[i])
                        return 0;
        return fsrv__fail(error, FSRV_STAGE_CREDENTIALS, EPERM, "uid %u may not spawn from a fork server of uid %u",
                          (unsigned)uid, (unsigned)fsrv__euid());
}

/* 0 if what was received is a request that can be claimed. */
static int check_request(int received, const struct fsrv__wire_config *config, struct fsrv_error *error) {
        const struct fsrv__wire_request *head = (void *)fsrv__task_bytes;

        if (received == -EMFILE)
                return fsrv__fail(error, FSRV_STAGE_REQUEST, EMFILE,
                                  "the request's fds did not fit into the new process");
        if (received < 0)
                return fsrv__fail(error, FSRV_STAGE_REQUEST, -received, "receiving the request");
        if (fsrv__task_message.size < sizeof *head)
                return fsrv__fail(error, FSRV_STAGE_REQUEST, EPROTO, "a request of %zu bytes", fsrv__task_message.size);
        int r = fsrv__request_check_head(head);
        if (r == -EPROTONOSUPPORT)
                return fsrv__fail(error, FSRV_STAGE_VERSION, EPROTONOSUPPORT,
                                  "the client speaks protocol %#x, the fork server %#x", head->version,
                                  FSRV_WIRE_VERSION);
        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_REQUEST, EPROTO, "the request is malformed");
        size_t n_fds = fsrv__message_count_fds(FSRV_TABLE_DOORBELL, head);
        if (fsrv__task_message.n_fds != n_fds)
                return fsrv__fail(error, FSRV_STAGE_REQUEST, EPROTO, "the request came with %zu fds instead of %zu",
                                  fsrv__task_message.n_fds, n_fds);
        if (fsrv__task_message.size != sizeof *head + (head->flags & FSRV_WIRE_BODY_IN_MEMFD ? 0 : head->body_size))
                return fsrv__fail(error, FSRV_STAGE_REQUEST, EPROTO,
                                  "the request has %zu bytes and says that it has %llu", fsrv__task_message.size,
                                  (unsigned long long)head->body_size);
        r = check_sender(config, error);
        if (r == 0 && config->entries_only && head->kind == FSRV_WIRE_PROGRAM)
                return fsrv__fail_text(error, FSRV_STAGE_CREDENTIALS, EPERM,
                                       "this fork server runs preloaded entry points alone, and no programs");
        return r;
}

/* By the claim the server hears of the spawn. A server that is stopped does not read, and the claim waits for it: the
 * server's end is the only limit. It has the zygote fork the next standby, and owes the client an exit
 * status from now on. */
static void send_claim(const struct fsrv__standby *standby, const int slots[FSRV_SLOTS],
                       const struct fsrv__wire_request *head) {
        struct fsrv__wire_claim claim = { .type = FSRV_WIRE_CLAIM,
                                          .flags = head->flags,
                                          .time_limit_ms = head->time_limit_ms,
                                          .grace_ms = head->grace_ms,
                                          .client = fsrv__task_message.sender.pid,
                                          .uid = fsrv__task_message.sender.uid,
                                          .queue_us = (uint32_t)fsrv__now_us() - head->made_us };
        int fds[FSRV_SLOTS];
        size_t n_fds = fsrv__message_pack(FSRV_TABLE_CLAIMS, &claim, slots, NULL, fds);

        if (fsrv__channel_send_patiently(standby->claims, &claim, sizeof claim, fds, n_fds, FSRV_NEVER) < 0)
                _exit(1); /* the server has gone, and the request goes: the client hears end-of-file and asks again */
        fsrv__task.has_claimed = true;
        FSRV_PROBE(request_claimed, fsrv__task_message.sender.pid, head->kind);
        fsrv__call(SYS_prctl, PR_SET_PDEATHSIG, 0); /* workers outlive the server */
}

/* The status socket is the server's now: a worker that held it could end the client's waiting with a lie. */
static void fill_task(struct fsrv__task *task, int slots[FSRV_SLOTS]) {
        fsrv__fd_close(slots[FSRV_SLOT_STATUS]);
        task->answer = slots[FSRV_SLOT_ANSWER];
        task->doorbell = slots[FSRV_SLOT_DOORBELL];
        task->lifeline = slots[FSRV_SLOT_LIFELINE];
        task->directory = slots[FSRV_SLOT_DIRECTORY];
        task->tracker = slots[FSRV_SLOT_TRACKER];
        task->memfd = slots[FSRV_SLOT_BODY];
        task->result = slots[FSRV_SLOT_RESULT];
        task->file = slots[FSRV_SLOT_PAYLOAD];
        task->fds = fsrv__task_message.fds; /* moved to memory of their number when more are to come */
        task->client = fsrv__task_message.sender;
}

static void lock_apart(const struct fsrv__standby *standby) {
        if (standby->lock && fsrv__lock_apart(standby->lock) < 0)
                _exit(1);
}

/* What a process in a sandbox could spawn by, or write to, is not for it; nor is the ruleset that others get. */
static void take_ways_out(const struct fsrv__standby *standby, struct fsrv__task *task) {
        if (!standby->lock)
                return;
        if (!standby->may_spawn)
                task->doorbell = fsrv__fd_close(task->doorbell);
        task->lifeline = fsrv__fd_close(task->lifeline); /* a pipe's end can be opened for writing, by /proc/self/fd */
        task->tracker = fsrv__fd_close(task->tracker);
        fsrv__fd_close(standby->lock->apart);
}

static _Noreturn void become_worker(const struct fsrv__standby *standby) {
        const struct fsrv__wire_request *head = (void *)fsrv__task_bytes;
        int slots[FSRV_SLOTS];

        if (fsrv__message_unpack(FSRV_TABLE_DOORBELL, head, &fsrv__task_message, slots) < 0)
                _exit(1); /* it has been checked */
        send_claim(standby, slots, head);
        fsrv__fd_close(standby->doorbell);
        fill_task(&fsrv__task, slots);
        take_ways_out(standby, &fsrv__task);
        fsrv__worker_main(&fsrv__task, head, fsrv__task_bytes + sizeof *head);
}

/* The rest of the task is what fill_task() and the decoding fill in. */
static void become_standby(const struct fsrv__standby *standby, int pidfd) {
        fsrv__title_set("forkserver: standby", NULL);
        fsrv__task.standby = standby;
        fsrv__task.claims = standby->claims;
        fsrv__task.pidfd = pidfd;
        fsrv__task.has_claimed = false;
}

/* ---- the processes of programs borrow this one's memory ---- */

/* Whether the process of this request can do without malloc and opens no files. To open one may take long, a FIFO say;
 * and /proc/self/mem would be the memory of this process. Nor does it change what the kernel has with the memory. (A
 * malformed request is refused later on.) */
static bool can_borrow(const struct fsrv__wire_config *config, const struct fsrv__wire_request *head) {
        const struct fsrv__wire_action *actions = (const void *)(head + 1);

        if (head->kind != FSRV_WIRE_PROGRAM || head->flags & (FSRV_WIRE_BODY_IN_MEMFD | FSRV_WIRE_START_STOPPED) ||
            head->n_fds > head->n_fds_here ||
            !fsrv__request_fits(head, sizeof fsrv__task.lists / sizeof *fsrv__task.lists))
                return false;
        for (uint32_t i = 0; i < head->n_actions; i++)
                if (actions[i].type == FSRV_WIRE_OPEN)
                        return false;
        const struct fsrv__wire_attributes *attributes = fsrv__request_attributes(head, head + 1);
        return (!attributes || fsrv__attributes_can_borrow(attributes)) &&
               !fsrv__runs_as_sender(config, &fsrv__task_message.sender);
}

static _Noreturn void run_on_loan(const struct fsrv__standby *standby) {
        lock_apart(standby); /* from the standby, and from others that borrow its memory */
        fsrv__task.pidfd = fsrv__pidfd_open(getpid());
        become_worker(standby);
}

/* Whether another process has taken the request over. What it wrote into this memory is not for the next one. */
static bool lend_memory(const struct fsrv__standby *standby) {
        int pidfd = fsrv__task.pidfd;

        if (fsrv__loan_make(standby, run_on_loan, &fsrv__task_message) < 0)
                return false;
        memset(fsrv__task_bytes, 0, fsrv__task_message.size);
        become_standby(standby, pidfd);
        fsrv__core_filter_widen(standby);
        return true;
}

/* ---- a zygote for a sandbox ---- */

static bool is_for_sandbox(int received) {
        const struct fsrv__wire_admin *message = (void *)fsrv__task_bytes;

        return received == 1 && fsrv__message_check(FSRV_TABLE_DOORBELL, message, fsrv__task_message.size) == 0 &&
               message->type == FSRV_WIRE_SANDBOX;
}

/* The server has the zygote forked. */
static int pass_sandbox_on(const struct fsrv__standby *standby, struct fsrv_error *error) {
        const struct fsrv__wire_claim claim = { .type = FSRV_WIRE_WANTS_ZYGOTE };
        size_t n = fsrv__message_count_fds(FSRV_TABLE_DOORBELL, fsrv__task_bytes);

        if (fsrv__task_message.n_fds != n)
                return fsrv__fail(error, FSRV_STAGE_REQUEST, EPROTO, "a sandbox came with %zu fds instead of %zu",
                                  fsrv__task_message.n_fds, n);
        int r = check_sender(standby->config, error);
        if (r < 0)
                return r;
        if (standby->lock)
                return fsrv__fail_text(error, FSRV_STAGE_SANDBOX, EPERM,
                                       "the sandbox cannot be had: this process, or the whole fork server, is in one "
                                       "already");
        if (fsrv__channel_send_patiently(standby->claims, &claim, sizeof claim, fsrv__task_message.fds, n, FSRV_NEVER) <
            0)
                _exit(1); /* the server has gone */
        fsrv__message_close(&fsrv__task_message);
        return 0;
}

/* ---- its life ---- */

/* What each worker does, or writes to, as far as it is known before the request: the client needn't wait for it then.
 */
static void warm_up(const struct fsrv_host *host) {
        if (host->warm_up)
                host->warm_up();
        fsrv__readiness_show();
        *(volatile char *)fsrv__task_bytes = 0;
        *(volatile bool *)&fsrv__inherited.is_worker = false;
}

_Noreturn void fsrv__standby_run(const struct fsrv__standby *standby) {
        const struct fsrv__wire_request *head = (void *)fsrv__task_bytes;
        const struct fsrv__wire_word ready = { .type = FSRV_WIRE_READY };
        uint32_t loans = standby->config->loans;

        lock_apart(standby);
        become_standby(standby, fsrv__pidfd_open(getpid()));
        warm_up(standby->host);
        for (;;) {
                struct fsrv_error error;
                int r = fsrv__channel_receive(standby->doorbell, fsrv__task_bytes, sizeof fsrv__task_bytes, 0,
                                              &fsrv__task_message);

                if (r == 0)
                        _exit(0); /* the last client has gone, or the server drains */
                if (is_for_sandbox(r)) {
                        if (pass_sandbox_on(standby, &error) < 0)
                                refuse_request(&error);
                        continue;
                }
                if (check_request(r, standby->config, &error) < 0) {
                        refuse_request(&error);
                        continue;
                }
                FSRV_PROBE(request_received, fsrv__task_message.sender.pid, head->kind);
                if (head->kind == FSRV_WIRE_PROBE) {
                        send_answer(&ready, sizeof ready);
                        continue;
                }
                if (loans > 0 && can_borrow(standby->config, head) && lend_memory(standby)) {
                        loans--;
                        continue;
                }
                if (loans < standby->config->loans) /* landlock lets a process reach those within its own domain */
                        lock_apart(standby);
                become_worker(standby);
        }
}
