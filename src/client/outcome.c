/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/huge.h"
#include "base/linux.h"
#include "client/process.h"
#include "forkserver.h"
#include "wire/messages.h"

/* What comes on a result's socket is from a process that may be anything by then. All of it is checked before it is
 * used, and nothing is waited for: the process has ended, so what it sent is here. */

/* A message with the bytes of a small result. */
struct outcome {
        union fsrv__wire_outcome head;
        char bytes[FSRV_WIRE_RESULT_MAX];
};

/* ---- the kinds of results ---- */

/* The block of the message becomes that of the bytes. */
static int take_small(struct outcome **from, size_t size, struct fsrv_result *result) {
        struct outcome *outcome = *from;
        size_t n = size - sizeof outcome->head.result;

        if (outcome->head.result.size != n || n > FSRV_WIRE_RESULT_MAX)
                return -EPROTO;
        memmove(outcome, (const char *)outcome + sizeof outcome->head.result, n);
        void *bytes = realloc(outcome, n ? n : 1);
        result->bytes = bytes ? bytes : outcome;
        result->n = n;
        *from = NULL;
        return 0;
}

/* The seals say that nothing can change the bytes any more, or take them away, which would be a SIGBUS here. */
static int take_large(const struct outcome *outcome, int memfd, struct fsrv_result *result) {
        uint64_t size = outcome->head.result.size;

        if (size == 0 || size > SIZE_MAX / 2 || fsrv__check_sealed(memfd, size) < 0)
                return -EPROTO;
        void *bytes = fsrv__huge_map(memfd, size, PROT_READ);
        if (!bytes)
                return -errno;
        result->bytes = bytes;
        result->n = size;
        result->is_mapped = 1;
        return 0;
}

static int explain_failure(const struct fsrv__wire_failure *failure, struct fsrv_result *result,
                           struct fsrv_error *error) {
        int length = (int)strnlen(failure->text, sizeof failure->text);

        if (failure->err > 0)
                return fsrv__fail(error, FSRV_STAGE_RESULT, failure->err, "sending the result");
        result->code = failure->code;
        return fsrv__fail_text(error, FSRV_STAGE_RESULT, EREMOTEIO, "%.*s", length, failure->text);
}

/* 1: there is a message, with the memfd of a large result in *ret_memfd; 0: there is none; -errno. */
static int receive_outcome(int sock, struct outcome *ret_outcome, size_t *ret_size, int *ret_memfd) {
        struct fsrv__message message;
        int slots[FSRV_SLOTS],
                r = fsrv__channel_receive(sock, ret_outcome, sizeof *ret_outcome, MSG_DONTWAIT, &message);

        if (r == -EMFILE)
                fsrv__message_close(&message);
        if (r == -EAGAIN || r == -ECONNRESET)
                return 0;
        if (r != 1)
                return r;
        r = fsrv__message_unpack(FSRV_TABLE_RESULTS, ret_outcome, &message, slots);
        *ret_size = message.size;
        *ret_memfd = r < 0 ? -1 : slots[FSRV_SLOT_BODY];
        return r < 0 ? r : 1;
}

/* ---- how the process ended ---- */

static int explain_death(const struct fsrv_status *status, struct fsrv_error *error) {
        const char *core = status->flags & FSRV_STATUS_CORE_DUMPED ? " and dumped core" : "";
        const char *name = sigabbrev_np(status->signal);
        int r;

        if (status->flags & FSRV_STATUS_REFUSED)
                r = fsrv__fail_text(error, FSRV_STAGE_RESULT, EIO, "the sandbox killed the process, as it refuses %s",
                                    fsrv_syscall_name(status->refused_call));
        else if (status->flags & FSRV_STATUS_TIMED_OUT)
                r = fsrv__fail_text(error, FSRV_STAGE_RESULT, ETIMEDOUT, "the time limit ended the process");
        else if (status->signal > 0 && name)
                r = fsrv__fail_text(error, FSRV_STAGE_RESULT, EIO, "the process was killed by SIG%s%s", name, core);
        else if (status->signal > 0)
                r = fsrv__fail_text(error, FSRV_STAGE_RESULT, EIO, "the process was killed by signal %d%s",
                                    status->signal, core);
        else
                r = fsrv__fail_text(error, FSRV_STAGE_RESULT, EIO, "the process exited with %d", status->exit_code);
        if (error)
                error->pid = status->pid;
        return r;
}

static bool has_ended_by_itself(const struct fsrv_status *status) {
        return status->signal == 0 && !(status->flags & FSRV_STATUS_TIMED_OUT);
}

static int take_outcome(struct outcome **from, size_t size, int memfd, struct fsrv_result *result,
                        struct fsrv_error *error) {
        const struct outcome *outcome = *from;
        int r;

        if (outcome->head.type == FSRV_WIRE_FAILURE)
                return explain_failure(&outcome->head.failure, result, error);
        if (result->status.exit_code != 0)
                return explain_death(&result->status, error);
        r = memfd < 0 ? take_small(from, size, result) : take_large(outcome, memfd, result);
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_RESULT, -r, "the result") : 0;
}

static int take_message(int sock, struct outcome **outcome, struct fsrv_result *result, struct fsrv_error *error) {
        FSRV_CLEANUP_FD int memfd = -1;
        size_t size;
        int r = receive_outcome(sock, *outcome, &size, &memfd);

        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_RESULT, -r, "the result");
        if (r == 1)
                return take_outcome(outcome, size, memfd, result, error);
        if (result->status.exit_code != 0)
                return explain_death(&result->status, error);
        return fsrv__fail_text(error, FSRV_STAGE_RESULT, ENODATA, "the process exited with 0, and sent no result");
}

/* A result counts if the process ended by itself and with 0. */
static int take_result(int sock, struct fsrv_result *result, struct fsrv_error *error) {
        if (!has_ended_by_itself(&result->status))
                return explain_death(&result->status, error);
        struct outcome *outcome = malloc(sizeof *outcome); /* a caller's stack may have no room for it */
        if (!outcome)
                return fsrv__fail(error, FSRV_STAGE_RESULT, ENOMEM, "the result");
        int r = take_message(sock, &outcome, result, error);
        free(outcome);
        return r;
}

/* The one way in which a caller's file can kill the process. */
static int explain_file(const struct fsrv_process *process, const struct fsrv_status *status, int r,
                        struct fsrv_error *error) {
        if (r == -EIO && status->signal == SIGBUS && fsrv__process_has_file(process)) {
                fsrv__fail_text(error, FSRV_STAGE_RESULT, EIO,
                                "the process was killed by SIGBUS, as it is when the payload's file shrinks meanwhile");
                if (error)
                        error->pid = status->pid;
        }
        return r;
}

int fsrv_process_get_result(struct fsrv_process *process, struct fsrv_result *ret_result, struct fsrv_error *error) {
        struct fsrv_result result = { .size = sizeof result };
        FSRV_CLEANUP_FD int sock = -1;

        if (!ret_result || ret_result->size != sizeof *ret_result)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "the size of struct fsrv_result");
        int r = fsrv__process_take_result(process, &result.status, &sock);
        if (r == -EBUSY)
                return fsrv__fail_text(error, FSRV_STAGE_RESULT, EBUSY, "the process has not ended");
        if (r < 0)
                return fsrv__fail_text(error, FSRV_STAGE_STATUS, -r,
                                       "status lost: the process has ended, and the fork server could not tell how");
        if (sock < 0)
                return fsrv__fail_text(error, FSRV_STAGE_RESULT, ENOENT,
                                       "no result was asked for, or it has been taken before");
        r = explain_file(process, &result.status, take_result(sock, &result, error), error);
        *ret_result = result;
        return r;
}

void fsrv_result_free(struct fsrv_result *result) {
        if (!result)
                return;
        if (result->is_mapped)
                munmap((void *)result->bytes, result->n);
        else
                free((void *)result->bytes);
        *result = (struct fsrv_result){ .size = sizeof *result };
}
