/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/config.h"
#include "wire/loaded.h"
#include "wire/request_codec.h"

static char *argv_of_three[] = { "a", "", "c c", NULL };
static char *environment_of_one[] = { "X=1", NULL };
static char *path_of_one[] = { "/dev/null", NULL };

static const struct fsrv__wire_action all_actions[] = {
        { .type = FSRV_WIRE_INSTALL, .target = 0, .source = 0 },
        { .type = FSRV_WIRE_DUP, .target = 1, .source = 0 },
        { .type = FSRV_WIRE_OPEN, .target = 2, .source = 1, .mode = 0644 },
        { .type = FSRV_WIRE_CLOSE, .target = 1 },
        { .type = FSRV_WIRE_HAND, .source = 1 },
};

static struct fsrv__request_parts sample(void) {
        return (struct fsrv__request_parts){
                .head = { .kind = FSRV_WIRE_PROGRAM, .n_actions = 5, .n_fds = 2, .umask = 022 },
                .actions = all_actions,
                .name = "prog",
                .search = "/bin",
                .directory = "",
                .argv = argv_of_three,
                .environment = environment_of_one,
                .paths = path_of_one,
        };
}

static void encode(char **ret_bytes, size_t *ret_size) {
        struct fsrv__request_parts parts = sample();

        assert_int_equal(fsrv__request_encode(&parts, ret_bytes, ret_size), 0);
}

static void a_request_comes_back_as_it_was(void **state) {
        struct fsrv__request_parts parts;
        char *bytes, *room[1];
        size_t size;

        (void)state;
        encode(&bytes, &size);
        struct fsrv__wire_request *head = (void *)bytes;
        assert_int_equal(size, sizeof *head + head->body_size);
        assert_int_equal(fsrv__request_check_head(head), 0);
        assert_int_equal(fsrv__request_decode(head, head + 1, room, 1, &parts), 0);
        assert_string_equal(parts.name, "prog");
        assert_string_equal(parts.search, "/bin");
        assert_string_equal(parts.directory, "");
        assert_string_equal(parts.argv[2], "c c");
        assert_null(parts.argv[3]);
        assert_string_equal(parts.environment[0], "X=1");
        assert_null(parts.environment[1]);
        assert_string_equal(parts.paths[0], "/dev/null");
        assert_memory_equal(parts.actions, all_actions, sizeof all_actions);
        fsrv__request_parts_done(&parts);
        free(bytes);
}

static void a_small_request_needs_no_memory(void **state) {
        struct fsrv__request_parts parts;
        char *bytes, *room[16];
        size_t size;

        (void)state;
        encode(&bytes, &size);
        struct fsrv__wire_request *head = (void *)bytes;
        assert_int_equal(fsrv__request_decode(head, head + 1, room, 16, &parts), 0);
        assert_null(parts.memory);
        free(bytes);
}

static void bad_heads_are_refused(void **state) {
        struct fsrv__wire_request good = {
                .version = FSRV_WIRE_VERSION, .kind = FSRV_WIRE_ENTRY, .n_argv = 1, .body_size = 100
        };
        struct fsrv__wire_request bad;

        (void)state;
        assert_int_equal(fsrv__request_check_head(&good), 0);
#define REFUSED(field, value, error) \
        (bad = good, bad.field = (value), assert_int_equal(fsrv__request_check_head(&bad), error))
        REFUSED(version, FSRV_WIRE_VERSION + 1, -EPROTONOSUPPORT);
        REFUSED(flags, 1u << 31, -EPROTO);
        REFUSED(kind, 0, -EPROTO);
        REFUSED(kind, 4, -EPROTO);
        REFUSED(body_size, FSRV_WIRE_BODY_MAX + 1, -EPROTO);
        REFUSED(body_size, UINT64_MAX, -EPROTO);
        REFUSED(payload_size, 101, -EPROTO);
        REFUSED(payload_size, UINT64_MAX, -EPROTO); /* as the sum of all would fit */
        good.payload_size = FSRV_WIRE_PAYLOAD_MAX;
        REFUSED(body_size, FSRV_WIRE_PAYLOAD_MAX + FSRV_WIRE_BODY_MAX, 0);
        REFUSED(body_size, FSRV_WIRE_PAYLOAD_MAX + FSRV_WIRE_BODY_MAX + 1, -EPROTO);
        good.payload_size = 0;
        REFUSED(n_actions, FSRV_WIRE_ACTIONS_MAX + 1, -EPROTO);
        REFUSED(n_actions, 7, -EPROTO); /* 7 * 16 > 100 */
        REFUSED(n_fds, FSRV_WIRE_ALL_FDS_MAX + 1, -EPROTO);
        REFUSED(n_fds_here, 1, -EPROTO);
        REFUSED(n_argv, 0, -EPROTO);
        REFUSED(n_argv, 98, -EPROTO);
        REFUSED(n_env, UINT32_MAX, -EPROTO);
        REFUSED(umask, 01000, -EPROTO);
}

/* Every list is there, behind the struct. */
struct attributes_with_lists {
        struct fsrv__wire_attributes head;
        uint64_t processors;
        uint32_t groups[2];
        char title[4];
};

static const struct attributes_with_lists all_attributes = {
        .head = { .mask = FSRV_ATTRIBUTE_LIMITS | FSRV_ATTRIBUTE_AFFINITY | FSRV_ATTRIBUTE_GROUPS |
                          FSRV_ATTRIBUTE_TITLE | FSRV_ATTRIBUTE_TERMINAL | FSRV_ATTRIBUTE_CGROUP_FD,
                  .limits = 1u << 7,
                  .limit = { [7] = { 10, 20 } },
                  .affinity_size = 8,
                  .n_groups = 2,
                  .title_size = 4 },
        .processors = 5,
        .groups = { 11, 12 },
        .title = "abc",
};

static void attributes_come_back_as_they_were(void **state) {
        struct fsrv__request_parts parts = sample();
        char *bytes, *room[16];
        size_t size;

        (void)state;
        parts.attributes = &all_attributes.head;
        assert_int_equal(fsrv__attributes_size(parts.attributes), offsetof(struct attributes_with_lists, title) + 4);
        assert_int_equal(fsrv__request_encode(&parts, &bytes, &size), 0);
        struct fsrv__wire_request *head = (void *)bytes;
        assert_true(head->flags & FSRV_WIRE_HAS_ATTRIBUTES);
        assert_int_equal(fsrv__request_check_head(head), 0);
        assert_int_equal(fsrv__request_decode(head, head + 1, room, 16, &parts), 0);
        assert_ptr_equal(parts.attributes, fsrv__request_attributes(head, head + 1));
        assert_memory_equal(parts.attributes, &all_attributes, fsrv__attributes_size(parts.attributes));
        assert_int_equal(*(const uint64_t *)fsrv__attributes_affinity(parts.attributes), 5);
        assert_int_equal(fsrv__attributes_groups(parts.attributes)[1], 12);
        assert_string_equal(fsrv__attributes_title(parts.attributes), "abc");
        assert_string_equal(parts.name, "prog");
        head->n_fds = 1; /* they need two of the caller's */
        assert_int_equal(fsrv__request_decode(head, head + 1, room, 16, &parts), -EPROTO);
        free(bytes);
}

static void bad_attributes_are_refused(void **state) {
        struct attributes_with_lists bad;
        size_t size;

        (void)state;
#define CHECKED(n, n_fds) fsrv__attributes_check(&bad.head, n, n_fds, &size)
        bad = all_attributes;
        assert_int_equal(CHECKED(sizeof bad, 2), 0);
        assert_int_equal(size, fsrv__attributes_size(&bad.head));
        assert_int_equal(CHECKED(size - 1, 2), -EPROTO);
        assert_int_equal(CHECKED(sizeof bad.head - 1, 2), -EPROTO);
        assert_int_equal(CHECKED(sizeof bad, 1), -EPROTO);
#define BAD(field, value) (bad = all_attributes, bad.field = (value), assert_int_equal(CHECKED(sizeof bad, 2), -EPROTO))
        BAD(head.mask, all_attributes.head.mask | UINT64_C(1) << 25);
        BAD(head.mask, all_attributes.head.mask | FSRV_ATTRIBUTE_CGROUP);
        BAD(head.mask, all_attributes.head.mask & ~FSRV_ATTRIBUTE_LIMITS);
        BAD(head.mask, all_attributes.head.mask & ~FSRV_ATTRIBUTE_AFFINITY);
        BAD(head.mask, all_attributes.head.mask & ~FSRV_ATTRIBUTE_GROUPS);
        BAD(head.mask, all_attributes.head.mask & ~FSRV_ATTRIBUTE_TITLE);
        BAD(head.limits, 0);
        BAD(head.limits, 1u << 16);
        BAD(head.affinity_size, 0);
        BAD(head.affinity_size, 4);
        BAD(head.affinity_size, FSRV_WIRE_AFFINITY_MAX + 8);
        BAD(head.n_groups, UINT32_MAX);
        BAD(head.title_size, 0);
        BAD(head.title_size, 3);
        BAD(head.title_size, UINT32_MAX);
        BAD(head.terminal_is_stdin, 2);
        BAD(head.dumpable, 2);
        BAD(head.reserved, 1);
        BAD(title[3], 'x');
}

/* It takes no part of the body, and a program has none. */
static void a_payload_may_be_a_file(void **state) {
        struct fsrv__wire_request good = { .version = FSRV_WIRE_VERSION,
                                           .kind = FSRV_WIRE_ENTRY,
                                           .flags = FSRV_WIRE_PAYLOAD_IN_FILE,
                                           .n_argv = 1,
                                           .body_size = 100,
                                           .payload_size = 101 };
        struct fsrv__wire_request bad;

        (void)state;
        assert_int_equal(fsrv__request_check_head(&good), 0);
        REFUSED(payload_size, FSRV_WIRE_PAYLOAD_MAX, 0);
        REFUSED(payload_size, FSRV_WIRE_PAYLOAD_MAX + 1, -EPROTO);
        REFUSED(kind, FSRV_WIRE_PROGRAM, -EPROTO);
        REFUSED(kind, FSRV_WIRE_PROBE, -EPROTO);
        REFUSED(body_size, FSRV_WIRE_BODY_MAX + 1, -EPROTO);
}

static void bad_bodies_are_refused(void **state) {
        struct fsrv__request_parts parts;
        char *bytes, *room[64];
        size_t size;

        (void)state;
        encode(&bytes, &size);
        struct fsrv__wire_request *head = (void *)bytes;
        struct fsrv__wire_action *action = (void *)(head + 1);
        bytes[size - 1] = 'x'; /* the last string has no end */
        assert_int_equal(fsrv__request_decode(head, head + 1, room, 64, &parts), -EPROTO);
        bytes[size - 1] = 0;
        head->n_env = 0; /* a string too many */
        assert_int_equal(fsrv__request_decode(head, head + 1, room, 64, &parts), -EPROTO);
        head->n_env = 1;
        action[0].source = 2; /* an fd that doesn't come */
        assert_int_equal(fsrv__request_decode(head, head + 1, room, 64, &parts), -EPROTO);
        action[0].source = 0;
        action[1].target = -1;
        assert_int_equal(fsrv__request_decode(head, head + 1, room, 64, &parts), -EPROTO);
        action[1].target = 1;
        action[3].type = 99;
        assert_int_equal(fsrv__request_decode(head, head + 1, room, 64, &parts), -EPROTO);
        free(bytes);
}

/* What comes out of a mutated message is an error or stays within its bytes: run under ASan and UBSan. */
static void mutated_requests_do_no_harm(void **state) {
        char *bytes;
        size_t size, accepted = 0;

        (void)state;
        srand(1);
        encode(&bytes, &size);
        for (int i = 0; i < 200000; i++) {
                struct fsrv__request_parts parts;
                char *copy = malloc(size), *room[4];

                memcpy(copy, bytes, size);
                for (int k = rand() % 4; k >= 0; k--)
                        copy[(size_t)rand() % size] = (char)(rand() % 3 ? rand() : 0);
                struct fsrv__wire_request *head = (void *)copy;
                if (size == sizeof *head + head->body_size && fsrv__request_check_head(head) == 0 &&
                    fsrv__request_decode(head, head + 1, room, 4, &parts) == 0) {
                        size_t n = 0;
                        for (char *const *arg = parts.argv; *arg; arg++)
                                n += strlen(*arg);
                        for (char *const *variable = parts.environment; *variable; variable++)
                                n += strlen(*variable);
                        assert_true(n <= size);
                        fsrv__request_parts_done(&parts);
                        accepted++;
                }
                free(copy);
        }
        assert_true(accepted > 0);
        free(bytes);
}

static void a_config_comes_back_as_it_was(void **state) {
        static char bytes[FSRV_WIRE_MESSAGE_MAX];
        char *modules[] = { "a.so", "libb.so.1", NULL };
        struct fsrv__config config = { .head = { .policy = 1, .standbys = 3 }, .path = "/run/x", .modules = modules },
                            back;

        (void)state;
        int size = fsrv__config_encode(&config, bytes);
        assert_true(size > 0);
        assert_int_equal(fsrv__config_decode(bytes, (size_t)size, &back), 0);
        assert_string_equal(back.path, "/run/x");
        assert_string_equal(back.modules[1], "libb.so.1");
        assert_null(back.modules[2]);
        fsrv__config_done(&back);
        assert_int_equal(fsrv__config_decode(bytes, (size_t)size - 1, &back), -EPROTO);
        assert_int_equal(fsrv__config_decode(bytes, 2, &back), -EPROTO);
        bytes[0] ^= 1;
        assert_int_equal(fsrv__config_decode(bytes, (size_t)size, &back), -EPROTONOSUPPORT);
}

static void a_programs_arguments_come_back_as_they_were(void **state) {
        static char bytes[FSRV_WIRE_MESSAGE_MAX], long_argument[10000];
        char *modules[] = { "a.so", "__main__", NULL };
        char *argv[] = { "prog", "", "-x y", NULL }, *long_argv[] = { long_argument, NULL };
        struct fsrv__config config = { .path = "/run/x", .argv = argv, .modules = modules }, back;

        (void)state;
        int size = fsrv__config_encode(&config, bytes);
        assert_true(size > 0);
        assert_int_equal(fsrv__config_decode(bytes, (size_t)size, &back), 0);
        assert_string_equal(back.path, "/run/x");
        assert_string_equal(back.argv[0], "prog");
        assert_string_equal(back.argv[1], "");
        assert_string_equal(back.argv[2], "-x y");
        assert_null(back.argv[3]);
        assert_string_equal(back.modules[1], "__main__");
        assert_null(back.modules[2]);
        fsrv__config_done(&back);
        struct fsrv__wire_config *head = (void *)bytes;
        head->n_argv = 2; /* a string too many */
        assert_int_equal(fsrv__config_decode(bytes, (size_t)size, &back), -EPROTO);
        head->n_argv = UINT32_MAX;
        assert_int_equal(fsrv__config_decode(bytes, (size_t)size, &back), -EPROTO);
        config.argv = NULL;
        assert_int_equal(fsrv__config_encode(&config, bytes), -EINVAL);
        modules[1] = "b.so"; /* another zygote than ours, or than the client's own program */
        config.argv = argv;
        size = fsrv__config_encode(&config, bytes);
        assert_int_equal(fsrv__config_decode(bytes, (size_t)size, &back), 0);
        assert_string_equal(back.argv[0], "prog");
        fsrv__config_done(&back);
        modules[1] = "__main__";
        config.argv = long_argv;
        memset(long_argument, 'x', sizeof long_argument - 1);
        assert_true(fsrv__config_encode(&config, bytes) > 0);
}

static void a_report_comes_back_as_it_was(void **state) {
        static char bytes[FSRV_WIRE_MESSAGE_MAX], copy[FSRV_WIRE_MESSAGE_MAX];
        struct fsrv__loaded back;
        size_t size;

        (void)state;
        fsrv__loaded_begin(bytes, &size, EIO, "why");
        fsrv__loaded_add_thread(bytes, &size, "one");
        fsrv__loaded_add_thread(bytes, &size, "");
        fsrv__loaded_add_fd(bytes, &size, 7, "epoll", "anon_inode:[eventpoll]");
        assert_int_equal(fsrv__loaded_decode(bytes, size, &back), 0);
        assert_string_equal(back.failure, "why");
        assert_int_equal(back.head.n_threads, 2);
        assert_string_equal(back.threads[1], "");
        assert_string_equal(back.fds[0].number, "7");
        assert_string_equal(back.fds[0].what, "anon_inode:[eventpoll]");
        fsrv__loaded_done(&back);
        for (int i = 0; i < 50000; i++) { /* whatever it holds: an error or strings that end */
                size_t n = 1 + (size_t)rand() % size;
                memcpy(copy, bytes, n);
                for (int k = rand() % 4; k > 0; k--)
                        copy[(size_t)rand() % n] = (char)rand();
                if (fsrv__loaded_decode(copy, n, &back) == 0) {
                        size_t all = strlen(back.failure);
                        for (uint32_t t = 0; t < back.head.n_threads; t++)
                                all += strlen(back.threads[t]);
                        for (uint32_t f = 0; f < back.head.n_fds; f++)
                                all += strlen(back.fds[f].number) + strlen(back.fds[f].kind) + strlen(back.fds[f].what);
                        assert_true(all < n);
                        fsrv__loaded_done(&back);
                }
        }
        for (int i = 0; i < 100000; i++) /* more than fits */
                fsrv__loaded_add_thread(bytes, &size, "a name");
        assert_true(size <= FSRV_WIRE_MESSAGE_MAX);
}

static void a_preload_list_has_a_limit(void **state) {
        static char bytes[FSRV_WIRE_MESSAGE_MAX], name[FSRV_WIRE_PRELOAD_MAX + 1];
        char *modules[] = { name, NULL };
        struct fsrv__config config = { .modules = modules };

        (void)state;
        memset(name, 'm', sizeof name - 1);
        assert_int_equal(fsrv__config_encode(&config, bytes), -E2BIG);
        name[sizeof name - 2] = 0;
        assert_true(fsrv__config_encode(&config, bytes) > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_request_comes_back_as_it_was),
                cmocka_unit_test(a_small_request_needs_no_memory),
                cmocka_unit_test(bad_heads_are_refused),
                cmocka_unit_test(attributes_come_back_as_they_were),
                cmocka_unit_test(bad_attributes_are_refused),
                cmocka_unit_test(a_payload_may_be_a_file),
                cmocka_unit_test(bad_bodies_are_refused),
                cmocka_unit_test(mutated_requests_do_no_harm),
                cmocka_unit_test(a_config_comes_back_as_it_was),
                cmocka_unit_test(a_programs_arguments_come_back_as_they_were),
                cmocka_unit_test(a_report_comes_back_as_it_was),
                cmocka_unit_test(a_preload_list_has_a_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
