/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tracker/line.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

static const char *const command_names[] = {
        [FSRV_TRACKER_REGISTER] = "REGISTER",
        [FSRV_TRACKER_UNREGISTER] = "UNREGISTER",
        [FSRV_TRACKER_PROBE] = "PROBE",
};

static const char *const type_names[] = {
        [FSRV_TRACKER_NOOP] = "noop",
        [FSRV_TRACKER_SEMAPHORE] = "semaphore",
        [FSRV_TRACKER_SHARED_MEMORY] = "shared_memory",
        [FSRV_TRACKER_DUMMY] = "dummy",
};

const char *fsrv__tracker_type_name(enum fsrv__tracker_type type) {
        return type_names[type];
}

/* The number of the word among the names, or -1. */
static int find_word(const char *const *names, size_t n_names, const char *word, size_t n) {
        for (size_t i = 0; i < n_names; i++)
                if (strlen(names[i]) == n && memcmp(names[i], word, n) == 0)
                        return (int)i;
        return -1;
}

static const char *take_words(const char *command, size_t command_n, const char *type, size_t type_n,
                              struct fsrv__tracker_line *ret_line) {
        int c = find_word(command_names, sizeof command_names / sizeof *command_names, command, command_n);
        int t = find_word(type_names, sizeof type_names / sizeof *type_names, type, type_n);

        if (c < 0)
                return "unknown command";
        if (t < 0)
                return "unknown type of resource";
        if (c != FSRV_TRACKER_PROBE && t == FSRV_TRACKER_NOOP)
                return "'noop' is for probes alone";
        ret_line->command = (enum fsrv__tracker_command)c;
        ret_line->type = (enum fsrv__tracker_type)t;
        ret_line->name[0] = 0;
        return NULL;
}

static const char *take_name(const char *name, size_t n, struct fsrv__tracker_line *ret_line) {
        if (n == 0)
                return "empty name";
        if (n > FSRV_TRACKER_NAME_MAX)
                return "name of more than 255 bytes";
        if (memchr(name, 0, n))
                return "name with a NUL byte";
        memcpy(ret_line->name, name, n);
        ret_line->name[n] = 0;
        return NULL;
}

/* ---- COMMAND:NAME:TYPE ---- */

static const char *parse_simple(const char *bytes, size_t n, struct fsrv__tracker_line *ret_line) {
        const char *first = memchr(bytes, ':', n), *last = memrchr(bytes, ':', n);

        if (first == last)
                return "not COMMAND:NAME:TYPE";
        const char *name = first + 1, *type = last + 1;
        const char *wrong = take_words(bytes, (size_t)(first - bytes), type, (size_t)(bytes + n - type), ret_line);
        if (wrong || ret_line->command == FSRV_TRACKER_PROBE)
                return wrong;
        return take_name(name, (size_t)(last - name), ret_line);
}

/* ---- JSON ---- */

/* The value of a digit of URL-safe base64, or -1. */
static int value_of_digit(char c) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        const char *at = c ? strchr(digits, c) : NULL;

        return at ? (int)(at - digits) : -1;
}

/* Padded, as CPython writes it. The number of bytes, or -1. */
static int decode_base64(const char *text, size_t n, char *ret_bytes) {
        int done = 0;

        if (n % 4 != 0)
                return -1;
        for (size_t i = 0; i < n; i += 4) {
                bool at_end = i + 4 == n;
                int pads = at_end && text[i + 3] == '=' ? 1 + (text[i + 2] == '=') : 0;
                int bits = 0;
                for (int k = 0; k < 4; k++) {
                        int value = k >= 4 - pads ? 0 : value_of_digit(text[i + (size_t)k]);
                        if (value < 0)
                                return -1;
                        bits = bits << 6 | value;
                }
                for (int k = 0; k < 3 - pads; k++)
                        ret_bytes[done++] = (char)(bits >> (16 - 8 * k));
        }
        return done;
}

static const char *parse_object(const json_t *object, struct fsrv__tracker_line *ret_line) {
        const char *command = json_string_value(json_object_get(object, "cmd"));
        const char *type = json_string_value(json_object_get(object, "rtype"));
        const json_t *name = json_object_get(object, "base64_name");
        char bytes[FSRV_TRACKER_LINE_MAX];

        if (!command || !type)
                return "no \"cmd\" and \"rtype\" in it";
        const char *wrong = take_words(command, strlen(command), type, strlen(type), ret_line);
        if (wrong || ret_line->command == FSRV_TRACKER_PROBE)
                return wrong;
        if (!json_is_string(name))
                return "no \"base64_name\" in it";
        int n = decode_base64(json_string_value(name), json_string_length(name), bytes);
        return n < 0 ? "\"base64_name\" is no URL-safe base64" : take_name(bytes, (size_t)n, ret_line);
}

static const char *parse_json(const char *bytes, size_t n, struct fsrv__tracker_line *ret_line) {
        json_t *object = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, NULL);

        if (!object)
                return "not JSON";
        const char *wrong = parse_object(object, ret_line);
        json_decref(object);
        return wrong;
}

const char *fsrv__tracker_line_parse(const char *bytes, size_t n, struct fsrv__tracker_line *ret_line) {
        struct fsrv__tracker_line line = { 0 };

        if (n > FSRV_TRACKER_LINE_MAX - 1)
                return "more than 512 bytes";
        for (size_t i = 0; i < n; i++)
                if ((unsigned char)bytes[i] > 127)
                        return "not ASCII";
        const char *wrong = n > 0 && bytes[0] == '{' ? parse_json(bytes, n, &line) : parse_simple(bytes, n, &line);
        if (!wrong)
                *ret_line = line;
        return wrong;
}

/* ---- cutting ---- */

size_t fsrv__tracker_cutter_take(struct fsrv__tracker_cutter *cutter, const char *bytes, size_t n) {
        if (cutter->whole) {
                cutter->n = 0;
                cutter->overlong = cutter->whole = false;
        }
        const char *newline = memchr(bytes, '\n', n);
        size_t part = newline ? (size_t)(newline - bytes) : n;
        size_t room = FSRV_TRACKER_LINE_MAX - 1 - cutter->n;
        size_t kept = part < room ? part : room;

        memcpy(cutter->bytes + cutter->n, bytes, kept);
        cutter->n += kept;
        cutter->overlong |= kept < part;
        cutter->whole = newline;
        return part + (newline != NULL);
}

/* ---- for people ---- */

void fsrv__tracker_escape(const char *bytes, size_t n, char *ret_text, size_t size) {
        static const char cut[] = "...";
        size_t at = 0;

        for (size_t i = 0; i < n; i++) {
                char one[5];
                unsigned char c = (unsigned char)bytes[i];
                bool plain = c >= ' ' && c <= '~' && c != '\\';
                size_t width = (size_t)snprintf(one, sizeof one, plain ? "%c" : "\\x%02x", c);
                if (at + width + sizeof cut > size) {
                        memcpy(ret_text + at, cut, sizeof cut);
                        return;
                }
                memcpy(ret_text + at, one, width);
                at += width;
        }
        ret_text[at] = 0;
}
