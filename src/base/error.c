/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void fsrv__text_tame(char *text) {
        for (unsigned char *c = (unsigned char *)text; *c; c++)
                if (*c < ' ')
                        *c = *c == '\n' || *c == '\t' ? ' ' : '?';
                else if (*c == 0x7f)
                        *c = '?';
                else if (c[0] == 0xC2 && c[1] >= 0x80 && c[1] < 0xA0)
                        c[0] = c[1] = '?'; /* C1 in UTF-8: U+009B is as good as ESC [ */
}

__attribute__((format(printf, 4, 0))) static void fill_error(struct fsrv_error *error, enum fsrv_stage stage, int err,
                                                             const char *format, va_list args) {
        *error = (struct fsrv_error){ .err = err, .stage = stage };
        vsnprintf(error->text, sizeof error->text, format, args);
        fsrv__text_tame(error->text);
}

int fsrv__fail(struct fsrv_error *error, enum fsrv_stage stage, int err, const char *format, ...) {
        va_list args;

        if (!error)
                return -err;
        va_start(args, format);
        fill_error(error, stage, err, format, args);
        va_end(args);

        /* strerrordesc_np: async-signal-safe and without the locale, unlike strerror (glibc 2.32) */
        const char *words = strerrordesc_np(err);
        size_t n = strlen(error->text);
        snprintf(error->text + n, sizeof error->text - n, ": %s", words ? words : "unknown error");
        return -err;
}

int fsrv__fail_text(struct fsrv_error *error, enum fsrv_stage stage, int err, const char *format, ...) {
        va_list args;

        if (error) {
                va_start(args, format);
                fill_error(error, stage, err, format, args);
                va_end(args);
        }
        return -err;
}

const char *fsrv_stage_name(uint32_t stage) {
        static const char *const names[FSRV_STAGE_COUNT] = {
                [FSRV_STAGE_NONE] = "none",
                [FSRV_STAGE_ARGUMENT] = "argument",
                [FSRV_STAGE_START] = "start",
                [FSRV_STAGE_CONNECT] = "connect",
                [FSRV_STAGE_CREDENTIALS] = "credentials",
                [FSRV_STAGE_VERSION] = "version",
                [FSRV_STAGE_QUEUE] = "queue",
                [FSRV_STAGE_PRELOAD] = "preload",
                [FSRV_STAGE_FORK] = "fork",
                [FSRV_STAGE_LIMIT] = "limit",
                [FSRV_STAGE_REQUEST] = "request",
                [FSRV_STAGE_SETUP] = "setup",
                [FSRV_STAGE_SIGNALS] = "signals",
                [FSRV_STAGE_GROUP] = "group",
                [FSRV_STAGE_DIRECTORY] = "directory",
                [FSRV_STAGE_FDS] = "fds",
                [FSRV_STAGE_OPEN] = "open",
                [FSRV_STAGE_ENTRY] = "entry",
                [FSRV_STAGE_EXEC] = "exec",
                [FSRV_STAGE_STATUS] = "status",
                [FSRV_STAGE_ADMIN] = "admin",
                [FSRV_STAGE_TRACKER] = "tracker",
                [FSRV_STAGE_RESULT] = "result",
                [FSRV_STAGE_SANDBOX] = "sandbox",
                [FSRV_STAGE_ATTRIBUTES] = "attributes",
        };

        return stage < FSRV_STAGE_COUNT ? names[stage] : "unknown";
}

const char *fsrv_version(void) {
        return FSRV_VERSION;
}
