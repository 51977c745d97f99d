/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "base/title.h"

static void an_error_names_thing_and_cause(void **state) {
        struct fsrv_error error;

        (void)state;
        assert_int_equal(fsrv__fail(&error, FSRV_STAGE_EXEC, ENOENT, "executing '%s'", "a\nb"), -ENOENT);
        assert_string_equal(error.text, "executing 'a b': No such file or directory");
        assert_int_equal(error.stage, FSRV_STAGE_EXEC);
        assert_int_equal(fsrv__fail(NULL, FSRV_STAGE_EXEC, ENOENT, "nobody listens"), -ENOENT);
}

static void a_long_error_is_cut(void **state) {
        struct fsrv_error error;
        char name[1000];

        (void)state;
        memset(name, 'n', sizeof name - 1);
        name[sizeof name - 1] = 0;
        fsrv__fail(&error, FSRV_STAGE_OPEN, EPERM, "%s", name);
        assert_int_equal(strlen(error.text), sizeof error.text - 1);
}

static void every_stage_has_a_name(void **state) {
        (void)state;
        for (uint32_t stage = 0; stage < FSRV_STAGE_COUNT; stage++)
                assert_non_null(fsrv_stage_name(stage));
        assert_string_equal(fsrv_stage_name(FSRV_STAGE_COUNT), "unknown");
}

static void only_the_range_is_closed(void **state) {
        int low = fcntl(0, F_DUPFD, 200), middle = fcntl(0, F_DUPFD, 210), high = fcntl(0, F_DUPFD, 220);

        (void)state;
        fsrv__cloexec_range(205, 215);
        assert_int_equal(fcntl(low, F_GETFD), 0);
        assert_int_equal(fcntl(middle, F_GETFD), FD_CLOEXEC);
        fsrv__close_range(205, 215);
        assert_int_equal(fsrv__fd_is_open(low), 1);
        assert_int_equal(fsrv__fd_is_open(middle), 0);
        assert_int_equal(fsrv__fd_is_open(high), 1);
        close(low);
        close(high);
}

static void a_memfd_is_trusted_only_when_sealed(void **state) {
        int fd = fsrv__sealed_memfd("test", "12345", 5),
            open_fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(fsrv__check_sealed(fd, 5), 0);
        assert_int_equal(fsrv__check_sealed(fd, 4), -EPROTO);
        assert_int_equal(fsrv__check_sealed(open_fd, 0), -EPROTO);
        assert_int_equal(fsrv__check_sealed(null, 0), -EPROTO);
        assert_int_equal(pwrite(fd, "x", 1, 0), -1);
        close(fd);
        close(open_fd);
        close(null);
}

static void a_child_is_reaped_by_its_pidfd(void **state) {
        struct fsrv__exit exit;
        struct rusage usage;
        pid_t pid = fork(), dead;

        (void)state;
        if (pid == 0) {
                pause();
                _exit(0);
        }
        int pidfd = fsrv__pidfd_open(pid);
        assert_true(pidfd >= 0);
        assert_int_equal(fsrv__reap_pidfd(pidfd, &exit, &usage), 0);
        assert_int_equal(fsrv__pidfd_send_signal(pidfd, SIGKILL), 0);
        siginfo_t info;
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
        assert_int_equal(fsrv__peek_dead(&dead), 1);
        assert_int_equal(dead, pid);
        assert_int_equal(fsrv__reap_pidfd(pidfd, &exit, &usage), 1);
        assert_int_equal(exit.code, CLD_KILLED);
        assert_int_equal(exit.status, SIGKILL);
        assert_int_equal(fsrv__reap_pidfd(pidfd, &exit, &usage), -ECHILD);
        int r = fsrv__pidfd_exit_status(pidfd, &exit);
        if (r == 0) { /* Linux 6.15 and later */
                assert_int_equal(exit.code, CLD_KILLED);
                assert_int_equal(exit.status, SIGKILL);
        }
        close(pidfd);
}

static void a_title_fits_its_room(void **state) {
        static char room[FSRV_TITLE_SIZE];
        char *argv[] = { room, NULL };
        char long_detail[1000];

        (void)state;
        fsrv__title_argument(room, "first");
        assert_int_equal(strlen(room), FSRV_TITLE_SIZE - 1);
        fsrv__title_init(argv);
        fsrv__title_set("forkserver: worker", " x");
        assert_string_equal(room, "forkserver: worker x");
        memset(long_detail, 'd', sizeof long_detail - 1);
        long_detail[sizeof long_detail - 1] = 0;
        fsrv__title_set("forkserver: ", long_detail);
        assert_int_equal(strlen(room), FSRV_TITLE_SIZE - 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_error_names_thing_and_cause),
                cmocka_unit_test(a_long_error_is_cut),
                cmocka_unit_test(every_stage_has_a_name),
                cmocka_unit_test(only_the_range_is_closed),
                cmocka_unit_test(a_memfd_is_trusted_only_when_sealed),
                cmocka_unit_test(a_child_is_reaped_by_its_pidfd),
                cmocka_unit_test(a_title_fits_its_room),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
