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
#include "base/huge.h"
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

FSRV__WORKER_VARIABLE static struct {
        bool is_wanted, has_failed;
        pid_t owner;
        size_t size;
        int memfd;  /* -1: the result is small, and lies in the message */
        void *room; /* the memfd's, mapped */
} result;

/* The message is made where it is sent from. It is no block of malloc's, which would take four page faults more. */
FSRV__WORKER_BUFFER static union {
        struct fsrv__wire_failure failure;
        struct {
                struct fsrv__wire_result head;
                char bytes[FSRV_WIRE_RESULT_MAX];
        } small;
} result_message;

static int begin_call(void) {
        if (!fsrv__inherited.is_worker)
                return -ENOENT;
        return result.is_wanted ? 0 : -ENOTCONN;
}

static void drop_memfd(void) {
        if (result.memfd < 0)
                return;
        munmap(result.room, result.size);
        result.memfd = fsrv__fd_close(result.memfd);
}

/* ---- sending ---- */

static int put_message(const void *bytes, size_t size, int memfd) {
        int fds[FSRV_WIRE_FDS_MAX], slots[FSRV_SLOTS] = FSRV_NO_FDS;

        slots[FSRV_SLOT_BODY] = memfd;
        size_t n = fsrv__message_pack(FSRV_TABLE_RESULTS, bytes, slots, NULL, fds);
        return fsrv__channel_send_patiently(fsrv__inherited.result, bytes, size, fds, n,
                                            fsrv__deadline(FSRV_WIRE_SEND_TIMEOUT_MS));
}

/* With F_SEAL_WRITE there may be no mapping that can be written to. */
static int send_memfd(void) {
        const struct fsrv__wire_result head = { .type = FSRV_WIRE_LARGE_RESULT, .size = result.size };

        munmap(result.room, result.size);
        if (fcntl(result.memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                return -errno;
        return put_message(&head, sizeof head, result.memfd);
}

static int send_small(void) {
        result_message.small.head = (struct fsrv__wire_result){ .type = FSRV_WIRE_RESULT, .size = result.size };
        return put_message(&result_message.small, sizeof result_message.small.head + result.size, -1);
}

static void send_result(int code, void *data) {
        int r;

        (void)data;
        if (!result.is_wanted || getpid() != result.owner)
                return;
        if (result.has_failed)
                put_message(&result_message.failure, sizeof result_message.failure, -1);
        if (result.has_failed || code != 0)
                return;
        r = result.memfd >= 0 ? send_memfd() : send_small();
        if (r < 0) {
                result_message.failure = (struct fsrv__wire_failure){ .type = FSRV_WIRE_FAILURE, .err = -r };
                put_message(&result_message.failure, sizeof result_message.failure, -1);
        }
}

int fsrv__result_begin(void) {
        result.is_wanted = true;
        result.owner = getpid();
        result.memfd = -1;
        return on_exit(send_result, NULL) != 0 ? -ENOMEM : 0;
}

void fsrv_worker_send_result(int code) {
        send_result(code, NULL);
}

/* ---- the calls of a module ---- */

/* *ret_room: n bytes of a new memfd. */
static int map_memfd(size_t n, void **ret_room) {
        FSRV_CLEANUP_FD int fd = fsrv__fd_raise(memfd_create("forkserver result", MFD_CLOEXEC | MFD_ALLOW_SEALING));

        int r = fd < 0 ? -errno : fsrv__huge_set_size(fd, n);
        if (r < 0)
                return r;
        void *room = fsrv__huge_map(fd, n, PROT_READ | PROT_WRITE);
        if (!room)
                return -errno;
        *ret_room = room;
        return fsrv__fd_steal(&fd);
}

/* `bytes` may lie in the result of before; NULL: zeros. */
static int set_large(const void *bytes, size_t n) {
        void *room = NULL;
        int memfd = map_memfd(n, &room);

        if (memfd < 0)
                return memfd;
        if (bytes)
                memcpy(room, bytes, n);
        drop_memfd();
        result.memfd = memfd;
        result.room = room;
        return 0;
}

static void set_small(const void *bytes, size_t n) {
        if (bytes && n > 0)
                memmove(result_message.small.bytes, bytes, n);
        else
                memset(result_message.small.bytes, 0, n);
        drop_memfd();
}

static int set_bytes(const void *bytes, size_t n) {
        int r = begin_call();

        if (r == 0 && n > FSRV_WIRE_RESULT_MAX)
                r = set_large(bytes, n);
        else if (r == 0)
                set_small(bytes, n);
        if (r < 0)
                return r;
        result.size = n;
        result.has_failed = false;
        return 0;
}

int fsrv_worker_set_result(const void *bytes, size_t n) {
        return set_bytes(bytes, n);
}

int fsrv_worker_result_buffer(size_t n, void **ret_bytes) {
        int r = set_bytes(NULL, n);

        if (r == 0)
                *ret_bytes = result.memfd >= 0 ? result.room : result_message.small.bytes;
        return r;
}

int fsrv_worker_fail(int code, const char *text) {
        int r = begin_call();

        if (r < 0)
                return r;
        char copy[FSRV_WIRE_TEXT_MAX];
        snprintf(copy, sizeof copy, "%s", text ? text : ""); /* it may lie in the result of before */
        drop_memfd();
        result_message.failure = (struct fsrv__wire_failure){ .type = FSRV_WIRE_FAILURE, .code = code };
        memcpy(result_message.failure.text, copy, sizeof copy);
        result.has_failed = true;
        return 0;
}
