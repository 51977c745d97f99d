/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "unit.h"

#include <dlfcn.h>
#include <stdio.h>

#include "zygote/symbols.h"

static struct fsrv__symbols open_library(const char *name, void **ret_handle) {
        struct fsrv__symbols symbols;

        *ret_handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
        assert_non_null(*ret_handle);
        fsrv__symbols_init(*ret_handle, &symbols);
        assert_non_null(symbols.hash);
        return symbols;
}

static void functions_are_where_dlsym_finds_them(void **state) {
        static const char *const names[] = { "cmocka_set_message_output", "_assert_true", "_fail", "mock_assert",
                                             "_skip" };
        void *handle;
        struct fsrv__symbols symbols = open_library("libcmocka.so.0", &handle);

        (void)state;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                assert_non_null(dlsym(handle, names[i]));
                assert_ptr_equal(fsrv__symbols_find(&symbols, names[i]), dlsym(handle, names[i]));
        }
}

/* What is to be asked of dlsym(3): names of others, of nobody, variables, indirect functions. */
static void what_is_not_plain_is_not_found(void **state) {
        static const char *const names[] = { "", "no_such_function", "environ", "strlen", "pthread_create_" };
        void *handle;
        struct fsrv__symbols symbols = open_library("libc.so.6", &handle);
        char name[32];

        (void)state;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                assert_null(fsrv__symbols_find(&symbols, names[i]));
        for (int i = 0; i < 10000; i++) {
                snprintf(name, sizeof name, "nobody_%d", i);
                assert_null(fsrv__symbols_find(&symbols, name));
        }
}

static void without_a_table_nothing_is_found(void **state) {
        struct fsrv__symbols none = { 0 };

        (void)state;
        assert_null(fsrv__symbols_find(&none, "main"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(functions_are_where_dlsym_finds_them),
                cmocka_unit_test(what_is_not_plain_is_not_found),
                cmocka_unit_test(without_a_table_nothing_is_found),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
