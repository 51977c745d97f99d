/* SPDX-License-Identifier: MIT */
/*
 * The tables of messages: any bytes at any end of any socket, with any number of fds. What is accepted can be packed
 * again, and comes out as it was. (The fds are numbers alone, and closing them is made harmless.)
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "wire/messages.h"

enum { FIRST = 5000 };

void __wrap_fsrv__fds_close(int *fds, size_t n);
void __wrap_fsrv__fds_close(int *fds, size_t n) {
        for (size_t i = 0; i < n; i++) {
                FSRV_FUZZ_CHECK(fds[i] >= FIRST); /* none twice, and none that isn't the message's */
                fds[i] = -1;
        }
}

static void number_fds(struct fsrv__message *message, size_t n_fds) {
        message->n_fds = n_fds < FSRV_WIRE_FDS_MAX ? n_fds : FSRV_WIRE_FDS_MAX;
        for (size_t i = 0; i < message->n_fds; i++)
                message->fds[i] = FIRST + (int)i;
}

static size_t count(const int slots[FSRV_SLOTS]) {
        size_t n = 0;

        for (int i = 0; i < FSRV_SLOTS; i++)
                n += slots[i] >= 0;
        return n;
}

static void check_again(enum fsrv__table table, const void *bytes, const struct fsrv__message *callers,
                        const int slots[FSRV_SLOTS], size_t n_fds) {
        int fds[FSRV_WIRE_FDS_MAX];
        size_t n = fsrv__message_pack(table, bytes, slots, callers->fds, fds);

        FSRV_FUZZ_CHECK(n == n_fds && n == fsrv__message_count_fds(table, bytes));
        for (size_t i = 0; i < n; i++)
                FSRV_FUZZ_CHECK(fds[i] == FIRST + (int)i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static char bytes[FSRV_WIRE_MESSAGE_MAX];
        struct fuzz_input input = { data, size };
        uint8_t table = fuzz_byte(&input) % (FSRV_TABLE_REPLIES + 1), question = fuzz_byte(&input) % 16;
        uint8_t n_fds = fuzz_byte(&input), mend = fuzz_byte(&input);
        uint32_t version = FSRV_WIRE_VERSION;
        struct fsrv__message message;
        int slots[FSRV_SLOTS], r;

        message.size = fuzz_bytes(&input, bytes, sizeof bytes);
        if (mend & 1 && message.size >= sizeof version)
                memcpy(bytes, &version, sizeof version); /* so that an input outlives a change of the protocol */
        number_fds(&message, n_fds);
        size_t all = message.n_fds;
        if (table == FSRV_TABLE_REPLIES) {
                if (question < FSRV_WIRE_ADMIN_CONFIG || question == FSRV_WIRE_ADMIN_CONNECT ||
                    question > FSRV_WIRE_ADMIN_SUCCEED)
                        return 0;
                r = fsrv__reply_unpack(question, bytes, &message, slots);
        } else {
                r = fsrv__message_unpack(table, bytes, &message, slots);
        }
        FSRV_FUZZ_CHECK(r == 0 || ((r == -EPROTO || r == -EPROTONOSUPPORT) && message.n_fds == 0));
        FSRV_FUZZ_CHECK(count(slots) + message.n_fds == (r == 0 ? all : 0));
        if (r == 0 && table != FSRV_TABLE_REPLIES)
                check_again(table, bytes, &message, slots, all);
        return 0;
}
