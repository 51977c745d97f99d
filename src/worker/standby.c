/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/call.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "base/title.h"
#include "wire/inherited.h"
#include "worker/worker.h"

/* Answers a request that nobody has claimed. What is left of it may be anything: never blocks, may not arrive. */
static void answer(const void *bytes, size_t size) {
        if (fsrv_own.message.n_fds > 0)
                fsrv_channel_send(fsrv_own.message.fds[0], bytes, size, NULL, 0, MSG_DONTWAIT);
        fsrv_message_close(&fsrv_own.message);
        memset(fsrv_own.buffer, 0, fsrv_own.message.size); /* not for the request that this process will run */
}

static void refuse(const struct fsrv_error *error) {
        struct fsrv_wire_failed failed = { .type = FSRV_WIRE_FAILED, .stage = error->stage, .err = error->err };

        memcpy(failed.text, error->text, sizeof failed.text);
        answer(&failed, sizeof failed);
}

/* The doorbell alone doesn't do: a worker that gave up its privileges still holds it. */
static int check_sender(const struct fsrv_wire_config *config, struct fsrv_error *error) {
        uid_t uid = fsrv_own.message.sender.uid;

        if (uid == fsrv_euid() || uid == 0)
                return 0;
        for (uint32_t i = 0; i < config->n_uids; i++)
                if (uid == config->uids[i])
                        return 0;
        return fsrv_fail(error, FSRV_STAGE_CREDENTIALS, EPERM, "uid %u may not spawn from a fork server of uid %u",
                         (unsigned)uid, (unsigned)fsrv_euid());
}

/* 0 if fsrv_own holds a request that can be claimed. */
static int check_request(int received, const struct fsrv_wire_config *config, struct fsrv_error *error) {
        const struct fsrv_wire_request *head = (void *)fsrv_own.buffer;
        int r;

        if (received == -EMFILE)
                return fsrv_fail(error, FSRV_STAGE_REQUEST, EMFILE,
                                 "the request's fds did not fit into the new process");
        if (received < 0)
                return fsrv_fail(error, FSRV_STAGE_REQUEST, -received, "receiving the request");
        if (fsrv_own.message.size < sizeof *head)
                return fsrv_fail(error, FSRV_STAGE_REQUEST, EPROTO, "a request of %zu bytes", fsrv_own.message.size);
        r = fsrv_request_check_head(head);
        if (r == -EPROTONOSUPPORT)
                return fsrv_fail(error, FSRV_STAGE_VERSION, EPROTONOSUPPORT,
                                 "protocol %#x against the fork server's %#x", head->version, FSRV_WIRE_VERSION);
        if (r < 0)
                return fsrv_fail(error, FSRV_STAGE_REQUEST, EPROTO, "malformed request");
        size_t n_fds = fsrv_request_own_fds(head) + head->n_fds_here;
        if (fsrv_own.message.n_fds != n_fds)
                return fsrv_fail(error, FSRV_STAGE_REQUEST, EPROTO, "the request came with %zu fds instead of %zu",
                                 fsrv_own.message.n_fds, n_fds);
        if (fsrv_own.message.size != sizeof *head + (head->flags & FSRV_WIRE_BODY_IN_MEMFD ? 0 : head->body_size))
                return fsrv_fail(error, FSRV_STAGE_REQUEST, EPROTO, "a request of %zu bytes says it has %llu",
                                 fsrv_own.message.size, (unsigned long long)head->body_size);
        return check_sender(config, error);
}

int fsrv_claim_send(const struct fsrv_birth *birth, const struct fsrv_wire_claim *claim, const int *fds, size_t n_fds) {
        for (int tries = 0;; tries++) {
                int r = fsrv_channel_send(birth->claims, claim, sizeof *claim, fds, n_fds, 0);
                /* Too many fds of this uid in flight, or no memory: it passes. */
                if (tries == 1000 || (r != -ETOOMANYREFS && r != -ENOBUFS && r != -ENOMEM))
                        return r;
                nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        }
}

/* The server hears of it, has the zygote fork the next standby, and owes the client an exit status from now on. */
static void claim(const struct fsrv_birth *birth, const int *fds, const struct fsrv_wire_request *head) {
        struct fsrv_wire_claim claim = { .type = FSRV_WIRE_CLAIM,
                                         .flags = head->flags,
                                         .time_limit_ms = head->time_limit_ms,
                                         .grace_ms = head->grace_ms };

        bool has_status = head->flags & FSRV_WIRE_HAS_STATUS;
        int both[] = { fds[FSRV_WIRE_FD_ANSWER], has_status ? fds[FSRV_WIRE_OWN_FDS] : -1 };

        if (fsrv_claim_send(birth, &claim, both, has_status ? 2 : 1) < 0)
                _exit(1); /* and with the server the request: its client hears end-of-file and asks again */
        fsrv_own.task.has_claimed = true;
        fsrv_call(SYS_prctl, PR_SET_PDEATHSIG, 0); /* workers outlive the server */
}

static void take(struct fsrv_task *task, const struct fsrv_wire_request *head) {
        int at = FSRV_WIRE_OWN_FDS;

        task->answer = fsrv_own.message.fds[FSRV_WIRE_FD_ANSWER];
        task->doorbell = fsrv_own.message.fds[FSRV_WIRE_FD_DOORBELL];
        task->lifeline = fsrv_own.message.fds[FSRV_WIRE_FD_LIFELINE];
        task->directory = fsrv_own.message.fds[FSRV_WIRE_FD_DIRECTORY];
        /* the server's now: nobody else could end the client's waiting with a lie */
        if (head->flags & FSRV_WIRE_HAS_STATUS)
                fsrv_fd_close(fsrv_own.message.fds[at++]);
        task->tracker = head->flags & FSRV_WIRE_HAS_TRACKER ? fsrv_own.message.fds[at++] : -1;
        task->memfd = head->flags & FSRV_WIRE_BODY_IN_MEMFD ? fsrv_own.message.fds[at++] : -1;
        task->fds = fsrv_own.message.fds + at; /* moved to memory of their number when more are to come */
        task->client = fsrv_own.message.sender;
}

static _Noreturn void become_worker(const struct fsrv_birth *birth) {
        const struct fsrv_wire_request *head = (void *)fsrv_own.buffer;

        claim(birth, fsrv_own.message.fds, head);
        fsrv_fd_close(birth->doorbell);
        take(&fsrv_own.task, head);
        fsrv_worker_main(&fsrv_own.task, head, fsrv_own.buffer + sizeof *head);
}

/* The rest of the task is what take() and the decoding fill in. */
static void begin(const struct fsrv_birth *birth, int pidfd) {
        fsrv_title_set("forkserver: standby", NULL);
        fsrv_own.task.birth = birth;
        fsrv_own.task.claims = birth->claims;
        fsrv_own.task.pidfd = pidfd;
        fsrv_own.task.has_claimed = false;
}

/* ---- programs: their processes borrow our memory ---- */

/* Whose lists need no malloc, and who opens nothing: that may take long, as of a FIFO, and of /proc/self/mem the
 * program would have our memory. (A malformed one is refused by whoever takes it.) */
static bool can_borrow(const struct fsrv_wire_request *head) {
        const struct fsrv_wire_action *actions = (const void *)(head + 1);

        if (head->kind != FSRV_WIRE_PROGRAM || head->flags & FSRV_WIRE_BODY_IN_MEMFD ||
            head->n_fds > head->n_fds_here ||
            !fsrv_request_fits(head, sizeof fsrv_own.task.lists / sizeof *fsrv_own.task.lists))
                return false;
        for (uint32_t i = 0; i < head->n_actions; i++)
                if (actions[i].type == FSRV_WIRE_OPEN)
                        return false;
        return true;
}

static _Noreturn void borrow(const struct fsrv_birth *birth) {
        fsrv_own.task.pidfd = fsrv_pidfd_open(getpid());
        become_worker(birth);
}

/* Whether somebody has taken the request off our hands. What it wrote is not for the next one. */
static bool lend(const struct fsrv_birth *birth) {
        int pidfd = fsrv_own.task.pidfd;

        if (fsrv_lend(birth, borrow, &fsrv_own.message) < 0)
                return false;
        memset(fsrv_own.buffer, 0, fsrv_own.message.size);
        begin(birth, pidfd);
        fsrv_core_filter_widen(birth);
        return true;
}

/* ---- its life ---- */

/* Off the client's way: what each worker does, or writes to, as far as it is known before the request. */
static void warm_up(const struct fsrv_host *host) {
        /* no less than the kernel's struct sigaction: the default, no flags, an empty mask */
        const long none[8] = { 0 };

        if (host->warm_up)
                host->warm_up();
        /* The zygote's, which forks by it. The server takes it for the sign that fork handlers have run. */
        fsrv_call(SYS_rt_sigaction, SIGSYS, none, NULL, _NSIG / 8);
        *(volatile char *)fsrv_own.buffer = 0;
        *(volatile bool *)&fsrv_inherited.is_worker = false;
}

_Noreturn void fsrv_standby(const struct fsrv_birth *birth) {
        const struct fsrv_wire_request *head = (void *)fsrv_own.buffer;
        const struct fsrv_wire_word ready = { .type = FSRV_WIRE_READY };
        uint32_t loans = birth->config->loans;

        begin(birth, fsrv_pidfd_open(getpid()));
        warm_up(birth->host);
        for (;;) {
                struct fsrv_error error;
                int r = fsrv_channel_receive(birth->doorbell, fsrv_own.buffer, sizeof fsrv_own.buffer, 0,
                                             &fsrv_own.message);

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
