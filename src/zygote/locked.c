/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/locked.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "base/title.h"
#include "wire/order.h"
#include "zygote/fork.h"
#include "zygote/hook.h"

static struct fsrv__lock lock = { .listener = -1, .apart = -1 };
static bool kills; /* a process for a refused call */

/* The bytes; NULL: it is not what a client makes. */
static void *map_sandbox(int body, size_t *ret_size) {
        struct stat st;

        if (fstat(body, &st) < 0 || st.st_size <= 0 || st.st_size > FSRV_SANDBOX_MAX)
                return NULL;
        *ret_size = (size_t)st.st_size;
        if (fsrv__check_sealed(body, *ret_size) < 0)
                return NULL;
        void *bytes = mmap(NULL, *ret_size, PROT_READ, MAP_PRIVATE, body, 0);
        return bytes == MAP_FAILED ? NULL : bytes;
}

static void set_title(const char *profile) {
        char words[64];

        snprintf(words, sizeof words, " in sandbox %s", profile);
        fsrv__title_set("forkserver: zygote", words);
}

static int lock_in(const void *bytes, size_t size, struct fsrv__standby *standby, struct fsrv_error *error) {
        struct fsrv__sandbox_parts sandbox;
        int r = fsrv__sandbox_decode(bytes, size, &sandbox);

        if (r < 0)
                return fsrv__fail_text(error, FSRV_STAGE_SANDBOX, -r, "the sandbox is malformed");
        set_title(sandbox.profile);
        standby->may_spawn = sandbox.head.flags & FSRV_LOCK_SPAWNS;
        kills = sandbox.head.flags & FSRV_LOCK_KILLS;
        standby->lock = &lock;
        r = fsrv__lock_in(&sandbox, true, &lock, error);
        fsrv__sandbox_parts_done(&sandbox);
        return r;
}

int fsrv__locked_enter(int body, struct fsrv__standby *standby, struct fsrv_error *error) {
        size_t size;
        void *bytes = map_sandbox(body, &size);

        if (!bytes)
                return fsrv__fail_text(error, FSRV_STAGE_SANDBOX, EPROTO, "what came is no sandbox");
        int r = lock_in(bytes, size, standby, error);
        munmap(bytes, size);
        fsrv__fd_close(body);
        return r;
}

int fsrv__locked_say_preloaded(int boot) {
        struct fsrv__wire_order order = { .type = FSRV_WIRE_PRELOADED, .value = fsrv__fork_is_twice() };
        int slots[FSRV_SLOTS] = FSRV_NO_FDS, fds[FSRV_SLOTS];

        order.value |= (lock.listener >= 0 ? 2 : 0) | (kills ? 4 : 0);
        slots[FSRV_SLOT_LISTENER] = lock.listener;
        size_t n = fsrv__message_pack(FSRV_TABLE_FROM_ZYGOTE, &order, slots, NULL, fds);
        int r = fsrv__channel_send(boot, &order, offsetof(struct fsrv__wire_order, text), fds, n, 0);
        lock.listener = fsrv__fd_close(lock.listener);
        return r;
}

static int take_sockets(int boot, struct fsrv__standby *standby, int *orders) {
        struct fsrv__wire_order order;
        int slots[FSRV_SLOTS], r = fsrv__locked_say_preloaded(boot);

        if (r == 0)
                r = fsrv__order_receive(boot, FSRV_TABLE_TO_ZYGOTE, FSRV_NEVER, &order, slots);
        if (r != 1 || order.type != FSRV_WIRE_SOCKETS)
                return -EPROTO;
        standby->doorbell = slots[FSRV_SLOT_DOORBELL];
        standby->claims = slots[FSRV_SLOT_CLAIMS];
        *orders = slots[FSRV_SLOT_ORDERS];
        return 0;
}

/* The old zygote's sockets are let go of before anything else: what is about to be locked in holds no way out. */
static void become_zygote(int boot, int body, struct fsrv__standby *standby, int *orders) {
        struct fsrv_error error;

        fsrv__fd_close(standby->doorbell);
        fsrv__fd_close(standby->claims);
        fsrv__fd_close(*orders);
        if (fsrv__order_send(boot, FSRV_WIRE_BORN, 0, getpid(), NULL) < 0)
                _exit(0);
        if (fsrv__locked_enter(body, standby, &error) < 0) {
                fsrv__order_send(boot, FSRV_WIRE_LOAD_FAILED, error.err, 0, error.text);
                _exit(0);
        }
        if (take_sockets(boot, standby, orders) < 0)
                _exit(0);
        fsrv__fd_close(boot);
}

void fsrv__locked_fork(int boot, int body, struct fsrv__standby *standby, int *orders) {
        const struct fsrv_host *host = standby->host;

        fsrv__hook_run(host->before_fork);
        pid_t pid = fsrv__fork_zygote(standby->config);
        fsrv__hook_run(pid == 0 ? host->after_fork_child : host->after_fork_zygote);
        if (pid == 0) {
                become_zygote(boot, body, standby, orders);
                return;
        }
        if (pid < 0)
                fsrv__order_send(boot, FSRV_WIRE_BORN, -pid, 0, NULL);
        fsrv__fd_close(boot);
        fsrv__fd_close(body);
}
