/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "wire/channel.h"

static int pair[2];
static struct fsrv__message message;

static int setup(void **state) {
        (void)state;
        return fsrv__socketpair(pair);
}

static int teardown(void **state) {
        (void)state;
        fsrv__fds_close(pair, 2);
        return 0;
}

static void fds_arrive_close_on_exec(void **state) {
        char byte = 'x';
        int null = open("/dev/null", O_RDONLY); /* inheritable here */

        (void)state;
        assert_int_equal(fsrv__channel_send(pair[0], &byte, 1, &null, 1, 0), 0);
        assert_int_equal(fsrv__channel_receive(pair[1], &byte, 1, 0, &message), 1);
        assert_int_equal(message.n_fds, 1);
        assert_int_equal(fcntl(message.fds[0], F_GETFD), FD_CLOEXEC);
        fsrv__message_close(&message);
        close(null);
}

static void a_full_message_of_fds_fits(void **state) {
        int fds[FSRV_WIRE_FDS_MAX + 1];
        char byte = 'x';

        (void)state;
        for (size_t i = 0; i < FSRV_WIRE_FDS_MAX + 1; i++)
                fds[i] = pair[0];
        assert_int_equal(fsrv__channel_send(pair[0], &byte, 1, fds, FSRV_WIRE_FDS_MAX + 1, 0), -EINVAL);
        assert_int_equal(fsrv__channel_send(pair[0], &byte, 1, fds, FSRV_WIRE_FDS_MAX, 0), 0);
        assert_int_equal(fsrv__channel_receive(pair[1], &byte, 1, 0, &message), 1);
        assert_int_equal(message.n_fds, FSRV_WIRE_FDS_MAX);
        fsrv__message_close(&message);
}

/* At the fd limit the kernel drops fds and says so in a flag alone. */
static void lost_fds_are_an_error(void **state) {
        struct rlimit limit, small;
        int fds[2] = { pair[0], pair[0] }, filler[64], n = 0;
        char byte = 'x';

        (void)state;
        assert_int_equal(fsrv__channel_send(pair[0], &byte, 1, fds, 2, 0), 0);
        getrlimit(RLIMIT_NOFILE, &limit);
        small = limit;
        small.rlim_cur = 40;
        setrlimit(RLIMIT_NOFILE, &small);
        while (n < 64 && (filler[n] = dup(pair[0])) >= 0)
                n++;
        close(filler[--n]); /* room for one of the two */
        int r = fsrv__channel_receive(pair[1], &byte, 1, 0, &message);
        setrlimit(RLIMIT_NOFILE, &limit);
        assert_int_equal(r, -EMFILE);
        assert_int_equal(message.n_fds, 1);
        fsrv__message_close(&message);
        fsrv__fds_close(filler, (size_t)n);
}

static void a_message_that_is_too_long_is_an_error(void **state) {
        char bytes[8] = "1234567";

        (void)state;
        assert_int_equal(fsrv__channel_send(pair[0], bytes, 8, &pair[0], 1, 0), 0);
        assert_int_equal(fsrv__channel_receive(pair[1], bytes, 4, 0, &message), -EMSGSIZE);
        assert_int_equal(message.n_fds, 0);
}

static void the_end_and_an_empty_message_differ_where_credentials_are_on(void **state) {
        int on = 1;
        char byte;

        (void)state;
        assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
        assert_int_equal(fsrv__channel_send(pair[0], "", 0, NULL, 0, 0), 0);
        assert_int_equal(fsrv__channel_receive(pair[1], &byte, 1, 0, &message), 1);
        assert_int_equal(message.sender.pid, getpid());
        assert_int_equal(message.sender.uid, getuid());
        pair[0] = fsrv__fd_close(pair[0]);
        assert_int_equal(fsrv__channel_receive(pair[1], &byte, 1, 0, &message), 0);
}

/* Without credentials it brings nothing that says what came along; what lies on the stack from the message before,
 * which is received with nothing else in between, doesn't. */
static void an_empty_message_brings_no_fds(void **state) {
        struct fsrv__message empty;
        int fds[FSRV_WIRE_FDS_MAX];
        char byte;

        (void)state;
        for (size_t i = 0; i < FSRV_WIRE_FDS_MAX; i++)
                fds[i] = pair[0];
        assert_int_equal(fsrv__channel_send(pair[0], "y", 1, fds, FSRV_WIRE_FDS_MAX, 0), 0);
        assert_int_equal(fsrv__channel_send(pair[0], "", 0, NULL, 0, 0), 0);
        int first = fsrv__channel_receive(pair[1], &byte, 1, 0, &message);
        int second = fsrv__channel_receive(pair[1], &byte, 1, 0, &empty);
        fsrv__message_close(&message);
        assert_int_equal(first, 1);
        assert_int_equal(second, 0);
        assert_int_equal(empty.n_fds, 0);
        assert_int_equal(empty.sender.pid, 0);
}

static void waiting_ends_at_its_deadline(void **state) {
        char byte;

        (void)state;
        assert_int_equal(fsrv__channel_receive_by(pair[1], &byte, 1, fsrv__deadline(0), &message), -ETIMEDOUT);
        assert_int_equal(fsrv__channel_receive_by(pair[1], &byte, 1, fsrv__deadline(20), &message), -ETIMEDOUT);
        assert_int_equal(fsrv__channel_send(pair[0], "y", 1, NULL, 0, 0), 0);
        assert_int_equal(fsrv__channel_receive_by(pair[1], &byte, 1, FSRV_NEVER, &message), 1);
}

static void *read_later(void *data) {
        char byte;

        usleep(20000);
        while (fsrv__channel_receive(pair[1], &byte, 1, MSG_DONTWAIT, &message) == 1)
                ;
        return data;
}

static void a_patient_send_waits_for_room(void **state) {
        pthread_t reader;
        char byte = 'x';

        (void)state;
        while (fsrv__channel_send(pair[0], &byte, 1, NULL, 0, MSG_DONTWAIT) == 0)
                ;
        int64_t deadline = fsrv__deadline(30);
        assert_int_equal(fsrv__channel_send_patiently(pair[0], &byte, 1, NULL, 0, deadline), -EAGAIN);
        assert_true(fsrv__now() >= deadline);
        assert_int_equal(pthread_create(&reader, NULL, read_later, NULL), 0);
        assert_int_equal(fsrv__channel_send_patiently(pair[0], &byte, 1, NULL, 0, fsrv__deadline(60000)), 0);
        pthread_join(reader, NULL);
        pair[1] = fsrv__fd_close(pair[1]);
        int r = fsrv__channel_send_patiently(pair[0], &byte, 1, NULL, 0, FSRV_NEVER);
        assert_true(r == -EPIPE || r == -ECONNRESET); /* the second, as something was unread */
}

static void a_closed_reader_is_an_error_not_a_signal(void **state) {
        (void)state;
        pair[1] = fsrv__fd_close(pair[1]);
        assert_int_equal(fsrv__channel_send(pair[0], "y", 1, NULL, 0, 0), -EPIPE);
}

/* ---- a message that was sent before the other end closed ---- */

enum { ENDS = 60000 };
static atomic_int to_end = -1; /* handed to the thread that sends and closes */

static void *say_and_close(void *data) {
        for (int i = 0; i < ENDS; i++) {
                int fd;

                while ((fd = atomic_exchange(&to_end, -1)) < 0)
                        ;
                fsrv__channel_send(fd, "end", 4, NULL, 0, 0);
                close(fd);
        }
        return data;
}

/* recvmsg(2) alone says end-of-file a few times: it looks into the queue first, and then whether the other end is
 * closed. */
static void the_end_does_not_overtake_the_last_message(void **state) {
        pthread_t thread;
        int lost = 0;

        (void)state;
        assert_int_equal(pthread_create(&thread, NULL, say_and_close, NULL), 0);
        for (int i = 0; i < ENDS; i++) {
                char bytes[8];
                int ends[2], r;

                assert_int_equal(fsrv__socketpair(ends), 0);
                atomic_store(&to_end, ends[1]);
                do
                        r = fsrv__channel_receive(ends[0], bytes, sizeof bytes, MSG_DONTWAIT, &message);
                while (r == -EAGAIN);
                lost += r != 1;
                close(ends[0]);
        }
        pthread_join(thread, NULL);
        assert_int_equal(lost, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(fds_arrive_close_on_exec, setup, teardown),
                cmocka_unit_test_setup_teardown(a_full_message_of_fds_fits, setup, teardown),
                cmocka_unit_test_setup_teardown(lost_fds_are_an_error, setup, teardown),
                cmocka_unit_test_setup_teardown(a_message_that_is_too_long_is_an_error, setup, teardown),
                cmocka_unit_test_setup_teardown(the_end_and_an_empty_message_differ_where_credentials_are_on, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(an_empty_message_brings_no_fds, setup, teardown),
                cmocka_unit_test_setup_teardown(waiting_ends_at_its_deadline, setup, teardown),
                cmocka_unit_test_setup_teardown(a_patient_send_waits_for_room, setup, teardown),
                cmocka_unit_test_setup_teardown(a_closed_reader_is_an_error_not_a_signal, setup, teardown),
                cmocka_unit_test(the_end_does_not_overtake_the_last_message),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
