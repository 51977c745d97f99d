/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_report_line.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

/* JSON as any program may have written it anew. What was decoded takes no more room than what it is made of, so it
 * replaces that. A NULL that is passed on is a syntax error. */

static char *skip_blanks(char *at) {
        return at ? at + strspn(at, " \t\r\n") : NULL;
}

static char *expect(char *at, char what) {
        at = skip_blanks(at);
        return at && *at == what ? at + 1 : NULL;
}

static char *parse_hex(char *at, uint32_t *ret_number) {
        *ret_number = 0;
        for (int i = 0; i < 4; i++) {
                if (!isxdigit((unsigned char)at[i]))
                        return NULL;
                *ret_number = *ret_number * 16 +
                              (uint32_t)(isdigit((unsigned char)at[i]) ? at[i] - '0' : (at[i] | 0x20) - 'a' + 10);
        }
        return at + 4;
}

static char *put_character(char *out, uint32_t c) {
        if (c >= 0xDC80 && c <= 0xDCFF) /* a byte that isn't UTF-8 */
                *out++ = (char)(c - 0xDC00);
        else if (c < 0x80)
                *out++ = (char)c;
        else {
                int more = 1 + (c >= 0x800) + (c >= 0x10000);
                *out++ = (char)((0xFF00 >> (more + 1) & 0xFF) | c >> 6 * more);
                while (more-- > 0)
                        *out++ = (char)(0x80 | (c >> 6 * more & 0x3F));
        }
        return out;
}

static char *parse_escape(char *at, char **out) {
        static const char names[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
        const char *name = *at ? strchr(names, *at) : NULL;
        uint32_t c, low;

        if (name) {
                *(*out)++ = means[name - names];
                return at + 1;
        }
        if (*at != 'u' || !(at = parse_hex(at + 1, &c)) || c == 0)
                return NULL;
        if (c >= 0xD800 && c < 0xDC00 && at[0] == '\\' && at[1] == 'u' && parse_hex(at + 2, &low) && low >= 0xDC00 &&
            low < 0xE000) {
                c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
                at += 6;
        }
        *out = put_character(*out, c);
        return at;
}

/* The text goes to *out, with its NUL. */
static char *parse_string(char *at, char **out) {
        at = expect(at, '"');
        while (at && *at && *at != '"') {
                if (*at == '\\')
                        at = parse_escape(at + 1, out);
                else
                        *(*out)++ = *at++;
        }
        if (!at || *at != '"')
                return NULL;
        *(*out)++ = 0;
        return at + 1;
}

static char *skip_value(char *at) {
        int depth = 0;

        for (at = skip_blanks(at); at && *at; at = skip_blanks(at)) {
                if (*at == '"') {
                        char *out = at;
                        at = parse_string(at, &out);
                } else {
                        depth += *at == '{' || *at == '[';
                        depth -= *at == '}' || *at == ']';
                        at++;
                }
                if (at && depth == 0 && strchr(",}] \t\r\n", *at))
                        return at;
        }
        return NULL;
}

static char *parse_list(char *at, char **out) {
        char *more = expect(at, '[');

        do
                at = parse_string(more, out);
        while ((more = expect(at, ',')));
        return expect(at, ']');
}

static char *parse_values(char *at, struct map_report_line *parsed) {
        char *out = skip_blanks(at);

        parsed->values = out;
        at = *out == '[' ? parse_list(at, &out) : parse_string(at, &out);
        parsed->size = (size_t)(out - parsed->values);
        return at;
}

static char *parse_member(char *at, struct map_report_line *parsed) {
        char *name = at = skip_blanks(at), *end = at;

        at = expect(parse_string(at, &end), ':');
        if (!at)
                return NULL;
        if (strcmp(name, "item") == 0 || strcmp(name, "items") == 0)
                return parse_values(at, parsed);
        at = skip_blanks(at);
        if (strcmp(name, "status") == 0)
                parsed->succeeded = at[0] == '0' && !isdigit((unsigned char)at[1]);
        parsed->lost |= strcmp(name, "lost") == 0 || strcmp(name, "timed_out") == 0 || strcmp(name, "no_result") == 0;
        return skip_value(at);
}

int map_report_line_parse(char *line, struct map_report_line *ret_parsed) {
        struct map_report_line parsed = { 0 };
        bool first = true;
        char *at = expect(line, '{');

        while (at && *skip_blanks(at) != '}') {
                if (!first)
                        at = expect(at, ',');
                first = false;
                at = at ? parse_member(at, &parsed) : NULL;
        }
        if (!expect(at, '}') || !parsed.values)
                return -EINVAL;
        *ret_parsed = parsed;
        return 0;
}
