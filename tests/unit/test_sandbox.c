/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "unit.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/syscalls.h"
#include "client/sandbox.h"
#include "wire/sandbox_codec.h"

/* A sandbox with something of each kind. */
static struct fsrv_sandbox *make_full(void) {
        const unsigned char filter[8] = { 6, 0, 0, 0, 0, 0, 0xff, 0x7f };
        struct fsrv_sandbox *sandbox;

        assert_int_equal(fsrv_sandbox_new("untrusted", &sandbox, NULL), 0);
        assert_int_equal(fsrv_sandbox_add_path(sandbox, "/srv/in", FSRV_PATH_READ), 0);
        assert_int_equal(fsrv_sandbox_add_path(sandbox, "out", FSRV_PATH_WRITE | FSRV_PATH_MAKE), 0);
        assert_int_equal(fsrv_sandbox_add_port(sandbox, 443, FSRV_PORT_CONNECT), 0);
        assert_int_equal(fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_BIND_READ_ONLY, "/", "/"), 0);
        assert_int_equal(fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_TMPFS, NULL, "/tmp"), 0);
        assert_int_equal(fsrv_sandbox_unshare(sandbox, CLONE_NEWNET), 0);
        assert_int_equal(fsrv_sandbox_set_filter(sandbox, filter, sizeof filter), 0);
        assert_int_equal(fsrv_sandbox_limit(sandbox, RLIMIT_CPU, 5), 0);
        assert_int_equal(fsrv_sandbox_limit(sandbox, RLIMIT_AS, RLIM_INFINITY), 0);
        assert_int_equal(fsrv_sandbox_set_flags(sandbox, FSRV_SANDBOX_NEW_ROOT | FSRV_SANDBOX_KILL), 0);
        assert_int_equal(fsrv_sandbox_seal(sandbox, NULL, NULL, NULL), 0);
        return sandbox;
}

static int decode(const void *bytes, size_t size) {
        struct fsrv__sandbox_parts parts;
        int r = fsrv__sandbox_decode(bytes, size, &parts);

        if (r == 0)
                fsrv__sandbox_parts_done(&parts);
        return r;
}

static void what_goes_in_comes_out(void **state) {
        struct fsrv_sandbox *sandbox = make_full();
        struct fsrv__sandbox_parts parts;
        size_t size;
        const void *bytes = fsrv__sandbox_get_bytes(sandbox, false, &size);

        (void)state;
        assert_int_equal(fsrv__sandbox_decode(bytes, size, &parts), 0);
        assert_string_equal(parts.profile, "untrusted");
        assert_true(parts.head.flags & FSRV_LOCK_NO_ROOT && parts.head.flags & FSRV_LOCK_KILLS);
        assert_int_equal(parts.head.n_filter, 1);
        assert_int_equal(((const unsigned char *)parts.filter)[0], 6);
        assert_int_equal(parts.ports[0].port, 443);
        uint32_t n = parts.head.n_paths;
        assert_string_equal(parts.path_names[n - 2], "/srv/in");
        assert_int_equal(parts.path_names[n - 1][0], '/');
        assert_string_equal(strrchr(parts.path_names[n - 1], '/'), "/out");
        assert_int_equal(parts.paths[n - 1].access, FSRV_PATH_WRITE | FSRV_PATH_MAKE);
        assert_int_equal(parts.mounts[1].kind, FSRV_MOUNT_TMPFS);
        assert_string_equal(parts.mount_names[0], "/");
        assert_string_equal(parts.mount_names[2], "");
        assert_string_equal(parts.mount_names[3], "/tmp");
        assert_int_equal(fsrv__sandbox_namespaces(&parts), CLONE_NEWNET | CLONE_NEWNS);
        assert_int_equal(parts.head.limit[RLIMIT_CPU], 5);
        assert_false(parts.head.limits >> RLIMIT_AS & 1);
        fsrv__sandbox_parts_done(&parts);
        fsrv_sandbox_unref(sandbox);
}

/* Same bytes are the same sandbox. */
static void the_bytes_depend_on_nothing_else(void **state) {
        struct fsrv_sandbox *a = make_full(), *b = make_full();
        size_t size_a, size_b;
        const void *bytes_a = fsrv__sandbox_get_bytes(a, false, &size_a),
                   *bytes_b = fsrv__sandbox_get_bytes(b, false, &size_b);

        (void)state;
        assert_int_equal(size_a, size_b);
        assert_memory_equal(bytes_a, bytes_b, size_a);
        fsrv_sandbox_unref(a);
        fsrv_sandbox_unref(b);
}

static void what_is_sealed_stays(void **state) {
        struct fsrv_sandbox *sandbox = make_full();

        (void)state;
        assert_int_equal(fsrv_sandbox_add_path(sandbox, "/", FSRV_PATH_READ), -EPERM);
        assert_int_equal(fsrv_sandbox_add_port(sandbox, 1, FSRV_PORT_BIND), -EPERM);
        assert_int_equal(fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_TMPFS, NULL, "/"), -EPERM);
        assert_int_equal(fsrv_sandbox_unshare(sandbox, CLONE_NEWUTS), -EPERM);
        assert_int_equal(fsrv_sandbox_refuse(sandbox, FSRV_REFUSE_EXEC), -EPERM);
        assert_int_equal(fsrv_sandbox_allow(sandbox, FSRV_REFUSE_EXEC), -EPERM);
        assert_int_equal(fsrv_sandbox_set_filter(sandbox, NULL, 0), -EPERM);
        assert_int_equal(fsrv_sandbox_limit(sandbox, RLIMIT_CPU, 1), -EPERM);
        assert_int_equal(fsrv_sandbox_set_flags(sandbox, 0), -EPERM);
        assert_int_equal(fsrv_sandbox_seal(sandbox, NULL, NULL, NULL), -EPERM);
        fsrv_sandbox_unref(fsrv_sandbox_ref(sandbox));
        assert_null(fsrv_sandbox_unref(sandbox));
        assert_null(fsrv_sandbox_unref(NULL));
}

static void wrong_arguments_are_refused(void **state) {
        struct fsrv_sandbox *sandbox;
        struct fsrv_error error;

        (void)state;
        assert_int_equal(fsrv_sandbox_new("trusted", &sandbox, &error), -EINVAL);
        assert_non_null(strstr(error.text, "pure-compute"));
        assert_int_equal(fsrv_sandbox_new("none", &sandbox, &error), 0);
        assert_int_equal(fsrv_sandbox_add_path(sandbox, "", FSRV_PATH_READ), -EINVAL);
        assert_int_equal(fsrv_sandbox_add_path(sandbox, "/", 16), -EINVAL);
        assert_int_equal(fsrv_sandbox_add_port(sandbox, 1, 0), -EINVAL);
        assert_int_equal(fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_TMPFS, "/x", "/"), -EINVAL);
        assert_int_equal(fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_BIND, NULL, "/"), -EINVAL);
        assert_int_equal(fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_BIND, "/", "tmp"), -EINVAL);
        assert_int_equal(fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_BIND, "/", "/a/../b"), -EINVAL);
        assert_int_equal(fsrv_sandbox_add_mount(sandbox, (enum fsrv_mount)6, NULL, "/"), -EINVAL);
        assert_int_equal(fsrv_sandbox_unshare(sandbox, CLONE_NEWPID), -EINVAL);
        assert_int_equal(fsrv_sandbox_refuse(sandbox, 1u << 9), -EINVAL);
        assert_int_equal(fsrv_sandbox_set_filter(sandbox, "123456789", 9), -EINVAL);
        assert_int_equal(fsrv_sandbox_limit(sandbox, 16, 1), -EINVAL);
        assert_int_equal(fsrv_sandbox_limit(sandbox, -1, 1), -EINVAL);
        assert_int_equal(fsrv_sandbox_set_flags(sandbox, 32), -EINVAL);
        for (int i = 0; i < FSRV_SANDBOX_PATHS_MAX; i++)
                assert_int_equal(fsrv_sandbox_add_path(sandbox, "/usr", FSRV_PATH_READ), 0);
        assert_int_equal(fsrv_sandbox_add_path(sandbox, "/usr", FSRV_PATH_READ), -E2BIG);
        fsrv_sandbox_unref(sandbox);
}

static void too_much_in_all_is_refused(void **state) {
        struct fsrv_sandbox *sandbox;
        char path[4000];

        (void)state;
        memset(path, 'a', sizeof path);
        path[0] = '/';
        path[sizeof path - 1] = 0;
        assert_int_equal(fsrv_sandbox_new("none", &sandbox, NULL), 0);
        for (int i = 0; i < 20; i++)
                assert_int_equal(fsrv_sandbox_add_path(sandbox, path, FSRV_PATH_READ), 0);
        assert_int_equal(fsrv_sandbox_seal(sandbox, NULL, NULL, NULL), -E2BIG);
        fsrv_sandbox_unref(sandbox);
}

/* Each prefix, and each byte changed: it is decoded or refused, and nothing else happens (the sanitizers look). */
static void torn_bytes_are_refused(void **state) {
        struct fsrv_sandbox *sandbox = make_full();
        size_t size;
        const char *bytes = fsrv__sandbox_get_bytes(sandbox, false, &size);
        char *copy = malloc(size + 1);

        (void)state;
        assert_non_null(copy);
        for (size_t n = 0; n < size; n++) {
                char *part = malloc(n ? n : 1);
                assert_non_null(part);
                memcpy(part, bytes, n);
                assert_int_equal(decode(part, n), -EPROTO);
                free(part);
        }
        memcpy(copy, bytes, size);
        copy[size] = 'x';
        assert_int_equal(decode(copy, size + 1), -EPROTO);
        for (size_t i = 0; i < size; i++)
                for (int change = 1; change < 256; change *= 2) {
                        memcpy(copy, bytes, size);
                        copy[i] = (char)(copy[i] ^ change);
                        decode(copy, size);
                }
        copy[0] = (char)(bytes[0] ^ 1);
        memcpy(copy + 1, bytes + 1, size - 1);
        assert_int_equal(decode(copy, size), -EPROTONOSUPPORT);
        free(copy);
        fsrv_sandbox_unref(sandbox);
}

static int decode_with(void (*change)(struct fsrv__wire_sandbox *head)) {
        struct fsrv_sandbox *sandbox = make_full();
        size_t size;
        const void *bytes = fsrv__sandbox_get_bytes(sandbox, false, &size);
        char *copy = malloc(size);
        struct fsrv__wire_sandbox head;

        assert_non_null(copy);
        memcpy(copy, bytes, size);
        memcpy(&head, copy, sizeof head);
        change(&head);
        memcpy(copy, &head, sizeof head);
        int r = decode(copy, size);
        free(copy);
        fsrv_sandbox_unref(sandbox);
        return r;
}

static void set_flag(struct fsrv__wire_sandbox *head) {
        head->flags |= FSRV_LOCK_FLAGS + 1u;
}

static void set_group(struct fsrv__wire_sandbox *head) {
        head->refused |= 1u << 9;
}

static void set_namespace(struct fsrv__wire_sandbox *head) {
        head->namespaces |= CLONE_NEWPID;
}

static void set_limit(struct fsrv__wire_sandbox *head) {
        head->limits |= 1u << FSRV_SANDBOX_LIMITS;
}

static void set_count(struct fsrv__wire_sandbox *head) {
        head->n_mounts = UINT32_MAX;
}

static void unknown_numbers_are_refused(void **state) {
        (void)state;
        assert_int_equal(decode_with(set_flag), -EPROTO);
        assert_int_equal(decode_with(set_group), -EPROTO);
        assert_int_equal(decode_with(set_namespace), -EPROTO);
        assert_int_equal(decode_with(set_limit), -EPROTO);
        assert_int_equal(decode_with(set_count), -EPROTO);
}

/* ---- the table of calls ---- */

static void calls_have_names_and_numbers(void **state) {
        (void)state;
        assert_string_equal(fsrv__syscall_name(SYS_openat), "openat");
        assert_string_equal(fsrv__syscall_name(SYS_exit_group), "exit_group");
        assert_string_equal(fsrv__syscall_name(446), "landlock_restrict_self");
        assert_int_equal(fsrv__syscall_find("ptrace"), SYS_ptrace);
        assert_int_equal(fsrv__syscall_find("no_such_call"), -1);
        assert_null(fsrv__syscall_name(-1));
        assert_null(fsrv__syscall_name(100000));
#ifdef __x86_64__
        for (int number = 0; number < 335; number++)
                assert_true(fsrv__syscall_name(number) || (number >= 180 && number <= 185) || number == 214 ||
                            number == 215);
        assert_int_equal(fsrv__syscall_find("socketcall"), -1); /* of 32 bits */
#endif
        for (int number = 424; number <= fsrv__syscall_last() && number < 470; number++)
                assert_non_null(fsrv__syscall_name(number));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_goes_in_comes_out),      cmocka_unit_test(the_bytes_depend_on_nothing_else),
                cmocka_unit_test(what_is_sealed_stays),        cmocka_unit_test(wrong_arguments_are_refused),
                cmocka_unit_test(too_much_in_all_is_refused),  cmocka_unit_test(torn_bytes_are_refused),
                cmocka_unit_test(unknown_numbers_are_refused), cmocka_unit_test(calls_have_names_and_numbers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
