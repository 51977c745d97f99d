/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tracker/complaint.h"

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECE = 4096, LIMIT_MS = 1000 };

/* The process that reads standard error may have stopped doing so, without closing it: registering must go on. A pipe
 * or a terminal that is ready takes a piece of PIPE_BUF bytes at once. */
static void write_patiently(const char *text, size_t n) {
        static int limit = LIMIT_MS;

        while (n > 0) {
                struct pollfd entry = { .fd = STDERR_FILENO, .events = POLLOUT };
                size_t piece = n < PIECE ? n : PIECE;

                bool ready = poll(&entry, 1, limit) == 1;
                limit = ready ? LIMIT_MS : 0; /* once, not for every word */
                if (!ready)
                        return;
                ssize_t written = write(STDERR_FILENO, text, piece);
                if (written < 0)
                        return;
                text += written;
                n -= (size_t)written;
        }
}

void fsrv__tracker_say(const char *format, ...) {
        va_list args;
        char *text = NULL, *line = NULL;

        va_start(args, format);
        int n = vasprintf(&text, format, args);
        va_end(args);
        if (n >= 0)
                n = asprintf(&line, "forkserver: resource tracker: %s\n", text);
        if (n >= 0)
                write_patiently(line, (size_t)n);
        free(text);
        free(line);
}
