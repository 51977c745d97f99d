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
#include "base/title.h"
#include "wire/inherited.h"
#include "wire/messages.h"
#include "wire/readiness.h"
#include "worker/worker.h"

/* Answers a request that nobody has claimed. What is left of it may be anything: never blocks, may not arrive. */
static void answer(const void *bytes, size_t size) {
        if (fsrv__own.message.n_fds > 0)
                fsrv__channel_send(fsrv__own.message.fds[0], bytes, size, NULL, 0, MSG_DONTWAIT);
        fsrv__message_close(&fsrv__own.message);
        memset(fsrv__own_buffer, 0, fsrv__own.message.size); /* not for the request that this process will run */
}

static void refuse(const struct fsrv_error *error) {
        struct fsrv__wire_failed failed = { .type = FSRV_WIRE_FAILED, .stage = error->stage, .err = error->err };

        memcpy(failed.text, error->text, sizeof failed.text);
        answer(&failed, sizeof failed);
}

/* The doorbell alone doesn't do: a worker that gave up its privileges still holds it. */
static int check_sender(const struct fsrv__wire_config *config, struct fsrv_error *error) {
        uid_t uid = fsrv__own.message.sender.uid;

        if (uid == fsrv__euid() || uid == 0)
                return 0;
        for (uint32_t i = 0; i < config->n_uids; i++)
                if (uid == config->uids[i])
                        return 0;
        return fsrv__fail(error, FSRV_STAGE_CREDENTIALS, EPERM, "uid %u may not spawn from a fork server of uid %u",
                          (unsigned)uid, (unsigned)fsrv__euid());
}

/* 0 if fsrv__own holds a request that can be claimed. */
static int check_request(int received, const struct fsrv__wire_config *config, struct fsrv_error *error) {
        const struct fsrv__wire_request *head = (void *)fsrv__own_buffer;

        if (received == -EMFILE)
                return fsrv__fail(error, FSRV_STAGE_REQUEST, EMFILE,
                                  "the request's fds did not fit into the new process");
        if (received < 0)
                return fsrv__fail(error, FSRV_STAGE_REQUEST, -received, "receiving the request");
        if (fsrv__own.message.size < sizeof *head)
                return fsrv__fail(error, FSRV_STAGE_REQUEST, EPROTO, "a request of %zu bytes", fsrv__own.message.size);
        int r = fsrv__request_check_head(head);
        if (r == -EPROTONOSUPPORT)
                return fsrv__fail(error, FSRV_STAGE_VERSION, EPROTONOSUPPORT,
                                  "the client speaks protocol %#x, the fork server %#x", head->version,
                                  FSRV_WIRE_VERSION);
        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_REQUEST, EPROTO, "the request is malformed");
        size_t n_fds = fsrv__message_count_fds(FSRV_TABLE_DOORBELL, head);
        if (fsrv__own.message.n_fds != n_fds)
                return fsrv__fail(error, FSRV_STAGE_REQUEST, EPROTO, "the request came with %zu fds instead of %zu",
                                  fsrv__own.message.n_fds, n_fds);
        if (fsrv__own.message.size != sizeof *head + (head->flags & FSRV_WIRE_BODY_IN_MEMFD ? 0 : head->body_size))
                return fsrv__fail(error, FSRV_STAGE_REQUEST, EPROTO,
                                  "the request has %zu bytes and says that it has %llu", fsrv__own.message.size,
                                  (unsigned long long)head->body_size);
        return check_sender(config, error);
}

/* The server hears of it, has the zygote fork the next standby, and owes the client an exit status from now on. */
static void claim(const struct fsrv__birth *birth, const int slots[FSRV_SLOTS], const struct fsrv__wire_request *head) {
        struct fsrv__wire_claim claim = { .type = FSRV_WIRE_CLAIM,
                                          .flags = head->flags,
                                          .time_limit_ms = head->time_limit_ms,
                                          .grace_ms = head->grace_ms };
        int64_t deadline = fsrv__deadline(FSRV_WIRE_SEND_TIMEOUT_MS);
        int fds[FSRV_WIRE_FDS_MAX];
        size_t n_fds = fsrv__message_pack(FSRV_TABLE_CLAIMS, &claim, slots, NULL, fds);

        if (fsrv__channel_send_patiently(birth->claims, &claim, sizeof claim, fds, n_fds, deadline) < 0)
                _exit(1); /* and with the server the request: its client hears end-of-file and asks again */
        fsrv__own.task.has_claimed = true;
        fsrv__call(SYS_prctl, PR_SET_PDEATHSIG, 0); /* workers outlive the server */
}

/* The status socket is the server's now: nobody else could end the client's waiting with a lie. */
static void fill_task(struct fsrv__task *task, int slots[FSRV_SLOTS]) {
        fsrv__fd_close(slots[FSRV_SLOT_STATUS]);
        task->answer = slots[FSRV_SLOT_ANSWER];
        task->doorbell = slots[FSRV_SLOT_DOORBELL];
        task->lifeline = slots[FSRV_SLOT_LIFELINE];
        task->directory = slots[FSRV_SLOT_DIRECTORY];
        task->tracker = slots[FSRV_SLOT_TRACKER];
        task->memfd = slots[FSRV_SLOT_BODY];
        task->fds = fsrv__own.message.fds; /* moved to memory of their number when more are to come */
        task->client = fsrv__own.message.sender;
}

static _Noreturn void become_worker(const struct fsrv__birth *birth) {
        const struct fsrv__wire_request *head = (void *)fsrv__own_buffer;
        int slots[FSRV_SLOTS];

        if (fsrv__message_unpack(FSRV_TABLE_DOORBELL, head, &fsrv__own.message, slots) < 0)
                _exit(1); /* it has been checked */
        claim(birth, slots, head);
        fsrv__fd_close(birth->doorbell);
        fill_task(&fsrv__own.task, slots);
        fsrv__worker_main(&fsrv__own.task, head, fsrv__own_buffer + sizeof *head);
}

/* The rest of the task is what fill_task() and the decoding fill in. */
static void begin(const struct fsrv__birth *birth, int pidfd) {
        fsrv__title_set("forkserver: standby", NULL);
        fsrv__own.task.birth = birth;
        fsrv__own.task.claims = birth->claims;
        fsrv__own.task.pidfd = pidfd;
        fsrv__own.task.has_claimed = false;
}

/* ---- programs: their processes borrow our memory ---- */

/* Whose lists need no malloc, and who opens nothing: that may take long, as of a FIFO, and of /proc/self/mem the
 * program would have our memory. (A malformed one is refused by whoever takes it.) */
static bool can_borrow(const struct fsrv__wire_request *head) {
        const struct fsrv__wire_action *actions = (const void *)(head + 1);

        if (head->kind != FSRV_WIRE_PROGRAM || head->flags & FSRV_WIRE_BODY_IN_MEMFD ||
            head->n_fds > head->n_fds_here ||
            !fsrv__request_fits(head, sizeof fsrv__own.task.lists / sizeof *fsrv__own.task.lists))
                return false;
        for (uint32_t i = 0; i < head->n_actions; i++)
                if (actions[i].type == FSRV_WIRE_OPEN)
                        return false;
        return true;
}

static _Noreturn void borrow(const struct fsrv__birth *birth) {
        fsrv__own.task.pidfd = fsrv__pidfd_open(getpid());
        become_worker(birth);
}

/* Whether somebody has taken the request off our hands. What it wrote is not for the next one. */
static bool lend(const struct fsrv__birth *birth) {
        int pidfd = fsrv__own.task.pidfd;

        if (fsrv__lend(birth, borrow, &fsrv__own.message) < 0)
                return false;
        memset(fsrv__own_buffer, 0, fsrv__own.message.size);
        begin(birth, pidfd);
        fsrv__core_filter_widen(birth);
        return true;
}

/* ---- its life ---- */

/* Off the client's way: what each worker does, or writes to, as far as it is known before the request. */
static void warm_up(const struct fsrv_host *host) {
        if (host->warm_up)
                host->warm_up();
        fsrv__readiness_show();
        *(volatile char *)fsrv__own_buffer = 0;
        *(volatile bool *)&fsrv__inherited.is_worker = false;
}

_Noreturn void fsrv__standby(const struct fsrv__birth *birth) {
        const struct fsrv__wire_request *head = (void *)fsrv__own_buffer;
        const struct fsrv__wire_word ready = { .type = FSRV_WIRE_READY };
        uint32_t loans = birth->config->loans;

        begin(birth, fsrv__pidfd_open(getpid()));
        warm_up(birth->host);
        for (;;) {
                struct fsrv_error error;
                int r = fsrv__channel_receive(birth->doorbell, fsrv__own_buffer, sizeof fsrv__own_buffer, 0,
                                              &fsrv__own.message);

                if (r == 0)
                        _exit(0); /* the last client has gone, or the server drains */
                if (check_request(r, birth->config, &error) < 0) {
                        refuse(&error);
                        continue;
                }
                if (head->kind == FSRV_WIRE_PROBE) {
                        answer(&ready, sizeof ready);
                        continue;
                }
                if (loans > 0 && can_borrow(head) && lend(birth))
                        loans--;
                else
                        become_worker(birth);
        }
}
