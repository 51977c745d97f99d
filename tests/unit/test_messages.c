/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "wire/messages.h"

static char bytes[FSRV_WIRE_MESSAGE_MAX];

/* A message of this table and type, the rest of which is 0. */
static void make(size_t number_offset, uint32_t number) {
        const uint32_t version = FSRV_WIRE_VERSION;

        memset(bytes, 0, sizeof bytes);
        memcpy(bytes, &version, sizeof version);
        memcpy(bytes + number_offset, &number, sizeof number);
}

static void types_and_sizes_are_checked(void **state) {
        (void)state;
        make(0, FSRV_WIRE_CLAIM);
        assert_int_equal(fsrv__message_check(FSRV_TABLE_CLAIMS, bytes, sizeof(struct fsrv__wire_claim)), 0);
        assert_int_equal(fsrv__message_check(FSRV_TABLE_CLAIMS, bytes, sizeof(struct fsrv__wire_claim) - 1), -EPROTO);
        assert_int_equal(fsrv__message_check(FSRV_TABLE_CLAIMS, bytes, sizeof(struct fsrv__wire_claim) + 1), -EPROTO);
        assert_int_equal(fsrv__message_check(FSRV_TABLE_CLAIMS, bytes, 0), -EPROTO);
        make(0, 99);
        assert_int_equal(fsrv__message_check(FSRV_TABLE_CLAIMS, bytes, sizeof(struct fsrv__wire_claim)), -EPROTO);
        make(0, FSRV_WIRE_FORKED); /* of the other direction */
        assert_int_equal(fsrv__message_check(FSRV_TABLE_TO_ZYGOTE, bytes, offsetof(struct fsrv__wire_order, text)),
                         -EPROTO);
        assert_int_equal(fsrv__message_check(FSRV_TABLE_FROM_ZYGOTE, bytes, offsetof(struct fsrv__wire_order, text)),
                         0);
        make(0, FSRV_WIRE_LOADING); /* with its text */
        assert_int_equal(fsrv__message_check(FSRV_TABLE_FROM_ZYGOTE, bytes, offsetof(struct fsrv__wire_order, text)),
                         -EPROTO);
        assert_int_equal(fsrv__message_check(FSRV_TABLE_FROM_ZYGOTE, bytes, sizeof(struct fsrv__wire_order)), 0);
}

static void versions_come_first(void **state) {
        (void)state;
        make(4, FSRV_WIRE_ADMIN_STOP);
        assert_int_equal(fsrv__message_check(FSRV_TABLE_ADMIN, bytes, sizeof(struct fsrv__wire_admin)), 0);
        assert_int_equal(fsrv__message_check(FSRV_TABLE_ADMIN, bytes, 4), -EPROTO);
        assert_int_equal(fsrv__message_check(FSRV_TABLE_ADMIN, bytes, 3), -EPROTO);
        bytes[0] ^= 1;
        assert_int_equal(fsrv__message_check(FSRV_TABLE_ADMIN, bytes, 4), -EPROTONOSUPPORT);
        assert_int_equal(fsrv__message_check(FSRV_TABLE_ADMIN, bytes, 4000), -EPROTONOSUPPORT);
}

/* Numbers for fds: nothing here opens or closes them. */
static void fill(int slots[FSRV_SLOTS], struct fsrv__message *message, size_t size) {
        for (int i = 0; i < FSRV_SLOTS; i++)
                slots[i] = 1000 + i;
        memset(message, 0, sizeof *message);
        message->size = size;
}

static void a_requests_fds_come_back_by_name(void **state) {
        const int callers[] = { 2000, 2001, 2002 };
        int slots[FSRV_SLOTS], back[FSRV_SLOTS];
        struct fsrv__wire_request *head = (void *)bytes;
        struct fsrv__message message;

        (void)state;
        for (uint32_t flags = 0; flags <= FSRV_WIRE_FLAGS; flags++) {
                make(4, FSRV_WIRE_ENTRY + flags % 3);
                head->flags = flags;
                head->n_fds_here = flags % 4;
                fill(slots, &message, sizeof *head);
                message.n_fds = fsrv__message_pack(FSRV_TABLE_DOORBELL, bytes, slots, callers, message.fds);
                assert_int_equal(message.n_fds, fsrv__message_count_fds(FSRV_TABLE_DOORBELL, bytes));
                assert_int_equal(fsrv__message_unpack(FSRV_TABLE_DOORBELL, bytes, &message, back), 0);
                assert_int_equal(message.n_fds, flags % 4);
                assert_memory_equal(message.fds, callers, message.n_fds * sizeof *callers);
                assert_int_equal(back[FSRV_SLOT_ANSWER], slots[FSRV_SLOT_ANSWER]);
                assert_int_equal(back[FSRV_SLOT_DIRECTORY], slots[FSRV_SLOT_DIRECTORY]);
                assert_int_equal(back[FSRV_SLOT_STATUS], flags & FSRV_WIRE_HAS_STATUS ? slots[FSRV_SLOT_STATUS] : -1);
                assert_int_equal(back[FSRV_SLOT_TRACKER],
                                 flags & FSRV_WIRE_HAS_TRACKER ? slots[FSRV_SLOT_TRACKER] : -1);
                assert_int_equal(back[FSRV_SLOT_BODY], flags & FSRV_WIRE_BODY_IN_MEMFD ? slots[FSRV_SLOT_BODY] : -1);
                assert_int_equal(back[FSRV_SLOT_PIDFD], -1);
        }
}

static void a_full_message_has_room_for_every_fd(void **state) {
        struct fsrv__wire_request *head = (void *)bytes;

        (void)state;
        make(4, FSRV_WIRE_PROGRAM);
        head->flags = FSRV_WIRE_FLAGS;
        head->n_fds_here = FSRV_WIRE_FIRST_FDS_MAX;
        assert_int_equal(fsrv__message_count_fds(FSRV_TABLE_DOORBELL, bytes), FSRV_WIRE_FDS_MAX);
}

static void open_some(struct fsrv__message *message, size_t n) {
        for (message->n_fds = 0; message->n_fds < n; message->n_fds++) {
                message->fds[message->n_fds] = open("/dev/null", O_RDONLY | O_CLOEXEC);
                assert_true(message->fds[message->n_fds] >= 0);
        }
}

static void other_fds_than_announced_are_closed(void **state) {
        struct fsrv__wire_started *started = (void *)bytes;
        struct fsrv__message message;
        int slots[FSRV_SLOTS];

        (void)state;
        for (size_t n = 0; n < 4; n++) {
                make(0, FSRV_WIRE_STARTED);
                started->fds = FSRV_WIRE_HAS_EXEC_PIPE;
                message.size = sizeof *started;
                open_some(&message, n);
                int first = n ? message.fds[0] : -1;
                assert_int_equal(fsrv__message_unpack(FSRV_TABLE_ANSWER, bytes, &message, slots), n == 1 ? 0 : -EPROTO);
                assert_int_equal(message.n_fds, 0);
                assert_int_equal(slots[FSRV_SLOT_EXEC_PIPE], n == 1 ? first : -1);
                assert_int_equal(slots[FSRV_SLOT_PIDFD], -1);
                if (n > 0)
                        assert_int_equal(fcntl(first, F_GETFD) >= 0, n == 1);
                if (n == 1)
                        close(first);
        }
        message.size = sizeof *started + 1;
        open_some(&message, 1);
        int fd = message.fds[0];
        assert_int_equal(fsrv__message_unpack(FSRV_TABLE_ANSWER, bytes, &message, slots), -EPROTO);
        assert_true(fcntl(fd, F_GETFD) < 0);
}

static void a_count_of_fds_does_not_wrap(void **state) {
        struct fsrv__wire_request *head = (void *)bytes;
        struct fsrv__message message;
        int slots[FSRV_SLOTS];

        (void)state;
        make(4, FSRV_WIRE_ENTRY);
        head->n_fds_here = UINT32_MAX - 3; /* and four of its own are 0 in 32 bits */
        message.size = sizeof *head;
        message.n_fds = 0;
        assert_int_equal(fsrv__message_unpack(FSRV_TABLE_DOORBELL, bytes, &message, slots), -EPROTO);
}

static int unpack_reply(uint32_t question, size_t size, int slots[FSRV_SLOTS]) {
        struct fsrv__message message = { .size = size };

        return fsrv__reply_unpack(question, bytes, &message, slots);
}

static void a_reply_fits_its_question(void **state) {
        struct fsrv__wire_reply *reply = (void *)bytes;
        int slots[FSRV_SLOTS];

        (void)state;
        make(0, FSRV_WIRE_VERSION);
        assert_int_equal(unpack_reply(FSRV_WIRE_ADMIN_STOP, sizeof *reply, slots), 0);
        assert_int_equal(unpack_reply(FSRV_WIRE_ADMIN_ATTACH, sizeof *reply, slots), -EPROTO); /* no doorbell */
        assert_int_equal(unpack_reply(FSRV_WIRE_ADMIN_STATS, sizeof *reply, slots), -EPROTO);
        assert_int_equal(unpack_reply(FSRV_WIRE_ADMIN_STATS, sizeof(struct fsrv__wire_stats), slots), 0);
        reply->err = -1; /* anything but 0 */
        assert_int_equal(unpack_reply(FSRV_WIRE_ADMIN_ATTACH, sizeof *reply, slots), 0);
        assert_int_equal(unpack_reply(FSRV_WIRE_ADMIN_STATS, sizeof *reply, slots), 0);
        assert_int_equal(unpack_reply(FSRV_WIRE_ADMIN_STATS, sizeof(struct fsrv__wire_stats), slots), -EPROTO);
        assert_int_equal(unpack_reply(FSRV_WIRE_ADMIN_STATS, 3, slots), -EPROTO);
        bytes[1] ^= 1;
        assert_int_equal(unpack_reply(FSRV_WIRE_ADMIN_STATS, sizeof *reply, slots), -EPROTONOSUPPORT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(types_and_sizes_are_checked),
                cmocka_unit_test(versions_come_first),
                cmocka_unit_test(a_requests_fds_come_back_by_name),
                cmocka_unit_test(a_full_message_has_room_for_every_fd),
                cmocka_unit_test(other_fds_than_announced_are_closed),
                cmocka_unit_test(a_count_of_fds_does_not_wrap),
                cmocka_unit_test(a_reply_fits_its_question),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
