/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tracker/line.h"

static struct fsrv__tracker_line line;

static const char *parse(const char *text) {
        memset(&line, 0x5a, sizeof line);
        return fsrv__tracker_line_parse(text, strlen(text), &line);
}

static void assert_line(const char *text, enum fsrv__tracker_command command, enum fsrv__tracker_type type,
                        const char *name) {
        assert_null(parse(text));
        assert_int_equal(line.command, command);
        assert_int_equal(line.type, type);
        assert_string_equal(line.name, name);
}

static void simple_lines(void **state) {
        (void)state;
        assert_line("REGISTER:/a:semaphore", FSRV_TRACKER_REGISTER, FSRV_TRACKER_SEMAPHORE, "/a");
        assert_line("UNREGISTER:psm_1:shared_memory", FSRV_TRACKER_UNREGISTER, FSRV_TRACKER_SHARED_MEMORY, "psm_1");
        assert_line("REGISTER: a b\t:dummy", FSRV_TRACKER_REGISTER, FSRV_TRACKER_DUMMY, " a b\t");
        assert_line("PROBE:0:noop", FSRV_TRACKER_PROBE, FSRV_TRACKER_NOOP, "");
        assert_line("PROBE::noop", FSRV_TRACKER_PROBE, FSRV_TRACKER_NOOP, "");
}

static void a_name_may_have_colons(void **state) {
        (void)state;
        assert_line("REGISTER:/a:b::c:semaphore", FSRV_TRACKER_REGISTER, FSRV_TRACKER_SEMAPHORE, "/a:b::c");
        assert_line("REGISTER:::dummy", FSRV_TRACKER_REGISTER, FSRV_TRACKER_DUMMY, ":");
}

static void json_lines(void **state) {
        (void)state;
        assert_line("{\"cmd\":\"REGISTER\",\"rtype\":\"shared_memory\",\"base64_name\":\"L2EKYg==\"}",
                    FSRV_TRACKER_REGISTER, FSRV_TRACKER_SHARED_MEMORY, "/a\nb");
        assert_line("{ \"base64_name\": \"w7_Dvy0_\", \"cmd\": \"UNREGISTER\", \"rtype\": \"dummy\" }",
                    FSRV_TRACKER_UNREGISTER, FSRV_TRACKER_DUMMY, "\303\277\303\277-?");
        assert_line("{\"cmd\":\"PROBE\",\"rtype\":\"noop\"}", FSRV_TRACKER_PROBE, FSRV_TRACKER_NOOP, "");
}

static void what_is_none(void **state) {
        static const char *const cases[][2] = {
                { "", "not COMMAND:NAME:TYPE" },
                { "REGISTER", "not COMMAND:NAME:TYPE" },
                { "REGISTER:/a", "not COMMAND:NAME:TYPE" },
                { "register:/a:semaphore", "unknown command" },
                { "REGISTE:/a:semaphore", "unknown command" },
                { ":/a:semaphore", "unknown command" },
                { "REGISTER:/a:semaphor", "unknown type of resource" },
                { "REGISTER:/a:semaphore ", "unknown type of resource" },
                { "REGISTER:/a:", "unknown type of resource" },
                { "PROBE:0:nothing", "unknown type of resource" },
                { "REGISTER:/a:noop", "'noop' is for probes alone" },
                { "REGISTER::semaphore", "empty name" },
                { "REGISTER:/\303\244:semaphore", "not ASCII" },
                { "{\"cmd\":\"REGISTER\"", "not JSON" },
                { "{\"cmd\":\"REGISTER\",\"cmd\":\"PROBE\",\"rtype\":\"dummy\"}", "not JSON" },
                { "{}", "no \"cmd\" and \"rtype\" in it" },
                { "{\"cmd\":1,\"rtype\":\"dummy\"}", "no \"cmd\" and \"rtype\" in it" },
                { "{\"cmd\":\"REGISTER\",\"rtype\":\"dummy\"}", "no \"base64_name\" in it" },
                { "{\"cmd\":\"REGISTER\",\"rtype\":\"dummy\",\"base64_name\":[]}", "no \"base64_name\" in it" },
                { "{\"cmd\":\"REGISTER\",\"rtype\":\"dummy\",\"base64_name\":\"\"}", "empty name" },
                { "{\"cmd\":\"REGISTER\",\"rtype\":\"dummy\",\"base64_name\":\"YQBi\"}", "name with a NUL byte" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
                assert_string_equal(parse(cases[i][0]), cases[i][1]);
        assert_int_equal(line.name[0], 0x5a); /* left alone */
        assert_string_equal(fsrv__tracker_line_parse("REGISTER:a\0b:dummy", 18, &line), "name with a NUL byte");
}

static void wrong_base64(void **state) {
        static const char *const wrong[] = { "YQ",   "YQ=",  "Y===", "====",      "YQ==YQ==",
                                             "Y+/=", "YQ=a", "Y Q=", "\\u0000QQQ" };
        char text[128];

        (void)state;
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                snprintf(text, sizeof text, "{\"cmd\":\"REGISTER\",\"rtype\":\"dummy\",\"base64_name\":\"%s\"}",
                         wrong[i]);
                assert_non_null(parse(text));
        }
}

/* REGISTER of a dummy whose name has n bytes. */
static const char *parse_name(size_t n) {
        char text[2000];

        snprintf(text, sizeof text, "REGISTER:%0*d:dummy", (int)n, 0);
        return parse(text);
}

static void the_longest_name(void **state) {
        (void)state;
        assert_null(parse_name(255));
        assert_int_equal(strlen(line.name), 255);
        assert_string_equal(parse_name(256), "name of more than 255 bytes");
        assert_string_equal(parse_name(496), "name of more than 255 bytes"); /* 511 bytes and the newline */
        assert_string_equal(parse_name(497), "more than 512 bytes");
}

/* Whatever its pieces are, the same lines come out. */
static void cut(const char *bytes, size_t n, size_t piece, char *ret_text) {
        struct fsrv__tracker_cutter cutter = { 0 };

        *ret_text = 0;
        for (size_t at = 0; at < n;) {
                size_t here = n - at < piece ? n - at : piece;
                size_t taken = fsrv__tracker_cutter_take(&cutter, bytes + at, here);
                assert_in_range(taken, 1, here);
                at += taken;
                if (cutter.whole)
                        sprintf(ret_text + strlen(ret_text), "%zu%s%.*s|", cutter.n, cutter.overlong ? "!" : "",
                                cutter.n < 3 ? (int)cutter.n : 3, cutter.bytes);
        }
        sprintf(ret_text + strlen(ret_text), "%zu", cutter.whole ? 0 : cutter.n);
}

static void lines_are_cut(void **state) {
        static char input[5000], text[1000];
        size_t n = (size_t)sprintf(input, "abc\n\n%0511d\n%0512d\nxy\n%03000d\nabcd\nend", 1, 2, 3);

        (void)state;
        for (size_t piece = 1; piece <= n; piece++) {
                cut(input, n, piece, text);
                assert_string_equal(text, "3abc|0|511000|511!000|2xy|511!000|4abc|3");
        }
}

static void text_for_people(void **state) {
        char text[16];

        (void)state;
        fsrv__tracker_escape("a b", 3, text, sizeof text);
        assert_string_equal(text, "a b");
        fsrv__tracker_escape("a\n\\\377", 4, text, sizeof text);
        assert_string_equal(text, "a\\x0a\\x5c..."); /* cut between characters */
        fsrv__tracker_escape("", 0, text, 8);
        assert_string_equal(text, "");
        fsrv__tracker_escape("0123456789abcdef", 16, text, sizeof text);
        assert_string_equal(text, "0123456789ab...");
        fsrv__tracker_escape("\n\n\n", 3, text, 8);
        assert_string_equal(text, "\\x0a...");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(simple_lines),  cmocka_unit_test(a_name_may_have_colons),
                cmocka_unit_test(json_lines),    cmocka_unit_test(what_is_none),
                cmocka_unit_test(wrong_base64),  cmocka_unit_test(the_longest_name),
                cmocka_unit_test(lines_are_cut), cmocka_unit_test(text_for_people),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
