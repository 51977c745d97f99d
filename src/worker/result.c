/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/layout.h"
#include "base/linux.h"
#include "forkserver.h"
#include "wire/inherited.h"
#include "wire/messages.h"
#include "worker/worker.h"

/*
 * What an entry point gives back. It is kept until the process ends by itself, and sent by an exit function: so a
 * result counts that is set and then set anew, exit(3) is as good as a return, and a process that is killed has sent
 * nothing. A fork of this process has the exit function too, and sends nothing.
 */

struct result {
        pid_t owner;
        char *bytes; /* malloc's, or of the memfd's mapping */
        size_t size;
        int memfd; /* -1: `bytes` is malloc's */
        bool has_failed;
        int code;
        char text[FSRV_WIRE_TEXT_MAX];
};

FSRV__WORKER_VARIABLE static struct result *result; /* NULL: none is wanted */

static int begin_call(void) {
        if (!fsrv__inherited.is_worker)
                return -ENOENT;
        return result ? 0 : -ENOTCONN;
}

static void drop_bytes(void) {
        if (result->memfd >= 0) {
                munmap(result->bytes, result->size);
                result->memfd = fsrv__fd_close(result->memfd);
        } else {
                free(result->bytes);
        }
        result->bytes = NULL;
        result->size = 0;
        result->has_failed = false;
}

/* ---- sending ---- */

static int put_message(const void *message, size_t size, int memfd) {
        int fds[FSRV_WIRE_FDS_MAX], slots[FSRV_SLOTS] = FSRV_NO_FDS;

        slots[FSRV_SLOT_BODY] = memfd;
        size_t n = fsrv__message_pack(FSRV_TABLE_RESULTS, message, slots, NULL, fds);
        return fsrv__channel_send_patiently(fsrv__inherited.result, message, size, fds, n,
                                            fsrv__deadline(FSRV_WIRE_SEND_TIMEOUT_MS));
}

/* With F_SEAL_WRITE there may be no mapping that can be written to. */
static int send_memfd(void) {
        const struct fsrv__wire_result head = { .type = FSRV_WIRE_LARGE_RESULT, .size = result->size };

        munmap(result->bytes, result->size);
        result->bytes = NULL;
        if (fcntl(result->memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                return -errno;
        return put_message(&head, sizeof head, result->memfd);
}

static int send_copy_in_memfd(void) {
        const struct fsrv__wire_result head = { .type = FSRV_WIRE_LARGE_RESULT, .size = result->size };
        FSRV_CLEANUP_FD int memfd = fsrv__sealed_memfd("forkserver result", result->bytes, result->size);

        return memfd < 0 ? memfd : put_message(&head, sizeof head, memfd);
}

static int send_bytes(void) {
        char message[sizeof(struct fsrv__wire_result) + FSRV_WIRE_RESULT_MAX];
        const struct fsrv__wire_result head = { .type = FSRV_WIRE_RESULT, .size = result->size };

        memcpy(message, &head, sizeof head);
        if (result->size > 0)
                memcpy(message + sizeof head, result->bytes, result->size);
        return put_message(message, sizeof head + result->size, -1);
}

static int send_failure(int err) {
        struct fsrv__wire_failure failure = { .type = FSRV_WIRE_FAILURE, .err = err, .code = result->code };

        memcpy(failure.text, result->text, sizeof failure.text);
        return put_message(&failure, sizeof failure, -1);
}

static void send_result(int code, void *data) {
        int r = 0;

        (void)data;
        if (!result || getpid() != result->owner)
                return;
        if (result->has_failed)
                send_failure(0);
        else if (code != 0)
                return;
        else if (result->memfd >= 0)
                r = send_memfd();
        else if (result->size > FSRV_WIRE_RESULT_MAX)
                r = send_copy_in_memfd();
        else
                r = send_bytes();
        if (r < 0)
                send_failure(-r);
}

int fsrv__result_begin(void) {
        result = calloc(1, sizeof *result);
        if (!result)
                return -ENOMEM;
        result->owner = getpid();
        result->memfd = -1;
        return on_exit(send_result, NULL) != 0 ? -ENOMEM : 0;
}

void fsrv_worker_send_result(int code) {
        send_result(code, NULL);
}

/* ---- the calls of a module ---- */

int fsrv_worker_set_result(const void *bytes, size_t n) {
        int r = begin_call();

        if (r < 0)
                return r;
        char *copy = malloc(n ? n : 1);
        if (!copy)
                return -ENOMEM;
        if (n > 0)
                memcpy(copy, bytes, n);
        drop_bytes();
        result->bytes = copy;
        result->size = n;
        return 0;
}

/* *ret_bytes: n bytes of a new memfd. */
static int map_memfd(size_t n, char **ret_bytes) {
        FSRV_CLEANUP_FD int fd = fsrv__fd_raise(memfd_create("forkserver result", MFD_CLOEXEC | MFD_ALLOW_SEALING));

        if (fd < 0 || ftruncate(fd, (off_t)n) < 0)
                return -errno;
        void *bytes = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (bytes == MAP_FAILED)
                return -errno;
        *ret_bytes = bytes;
        return fsrv__fd_steal(&fd);
}

int fsrv_worker_result_buffer(size_t n, void **ret_bytes) {
        char *bytes = NULL;
        int r = begin_call(), memfd = -1;

        if (r < 0)
                return r;
        if (n > FSRV_WIRE_RESULT_MAX) {
                memfd = map_memfd(n, &bytes);
                if (memfd < 0)
                        return memfd;
        } else if (!(bytes = calloc(1, n ? n : 1))) {
                return -ENOMEM;
        }
        drop_bytes();
        result->bytes = bytes;
        result->size = n;
        result->memfd = memfd;
        *ret_bytes = bytes;
        return 0;
}

int fsrv_worker_fail(int code, const char *text) {
        int r = begin_call();

        if (r < 0)
                return r;
        drop_bytes();
        result->has_failed = true;
        result->code = code;
        snprintf(result->text, sizeof result->text, "%s", text ? text : "");
        return 0;
}
