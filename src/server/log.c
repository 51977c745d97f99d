/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "server/server.h"

enum { TEXT = 512 };

static unsigned n_lost;

/* A reader that has stopped reading must not stop the server. poll(2) says of a pipe that it has room when there is
 * room for a line of 4096 bytes. */
static bool put(const char *line, int size) {
        struct pollfd entry = { .fd = STDERR_FILENO, .events = POLLOUT };

        return poll(&entry, 1, 0) == 1 && entry.revents & POLLOUT && write(STDERR_FILENO, line, (size_t)size) == size;
}

/* journald takes "<4>" at a line's beginning for its level (sd-daemon(3)). */
static int write_words(const struct fsrv__server *s, enum fsrv__level level, const char *text, char *ret_line,
                       size_t size) {
        char prefix[8] = "";

        if (s->supervisor.has_journal)
                snprintf(prefix, sizeof prefix, "<%d>", level);
        return snprintf(ret_line, size, "%sforkserver: %s\n", prefix, text);
}

/* The text has been tamed: it has no control characters, and is UTF-8. */
static void escape(const char *text, char *ret_json) {
        for (; *text; text++) {
                if (*text == '"' || *text == '\\')
                        *ret_json++ = '\\';
                *ret_json++ = *text;
        }
        *ret_json = 0;
}

static const char *name_of(enum fsrv__level level) {
        if (level == FSRV_ERROR)
                return "error";
        return level == FSRV_WARNING ? "warning" : "info";
}

static int write_object(enum fsrv__level level, const char *text, char *ret_line, size_t size) {
        char json[2 * TEXT + 1], when[32];
        struct timespec now;
        struct tm tm;

        clock_gettime(CLOCK_REALTIME, &now);
        strftime(when, sizeof when, "%FT%T", gmtime_r(&now.tv_sec, &tm));
        escape(text, json);
        return snprintf(ret_line, size,
                        "{\"time\": \"%s.%03dZ\", \"level\": \"%s\", \"pid\": %d, \"message\": \"%s\"}\n", when,
                        (int)(now.tv_nsec / 1000000), name_of(level), (int)getpid(), json);
}

static bool put_line(const struct fsrv__server *s, enum fsrv__level level, const char *text) {
        char line[3 * TEXT];
        bool is_json = s->config.head.options & FSRV_WIRE_JSON_LOG;

        return put(line, is_json ? write_object(level, text, line, sizeof line)
                                 : write_words(s, level, text, line, sizeof line));
}

static bool tell_of_lost(const struct fsrv__server *s) {
        char text[64];

        if (n_lost == 0)
                return true;
        snprintf(text, sizeof text, "%u lines of this log were lost", n_lost);
        if (!put_line(s, FSRV_WARNING, text))
                return false;
        n_lost = 0;
        return true;
}

void fsrv__log(const struct fsrv__server *s, enum fsrv__level level, const char *format, ...) {
        char text[TEXT];
        va_list args;

        if (!s->config.path)
                return;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        fsrv__text_tame(text);
        if (!tell_of_lost(s) || !put_line(s, level, text))
                n_lost++;
}
