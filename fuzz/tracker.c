/* SPDX-License-Identifier: MIT */
/* The resource tracker: lines that come in pieces, the set of names, and what is said about them. Nothing is
 * unlinked. */
#include "fuzz.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tracker/complaint.h"
#include "tracker/resources.h"

int __wrap_sem_unlink(const char *name);
int __wrap_sem_unlink(const char *name) {
        errno = EACCES;
        return name[0] == 'x' ? -1 : 0;
}

int __wrap_shm_unlink(const char *name);
int __wrap_shm_unlink(const char *name) {
        errno = EACCES;
        return name[0] == 'x' ? -1 : 0;
}

void fsrv__tracker_say(const char *format, ...) {
        char text[4096];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        for (const char *c = text; *c; c++)
                FSRV_FUZZ_CHECK(*c >= ' ' && *c <= '~'); /* a name cannot write to a terminal */
}

static void take_line(struct fsrv__resource **set, const char *bytes, size_t n) {
        struct fsrv__tracker_line line;
        char shown[64];
        const char *wrong = fsrv__tracker_line_parse(bytes, n, &line);

        fsrv__tracker_escape(bytes, n, shown, 8 + n % (sizeof shown - 8));
        fsrv__tracker_say("%s", shown);
        if (wrong)
                return;
        FSRV_FUZZ_CHECK(strlen(line.name) <= FSRV_TRACKER_NAME_MAX);
        if (line.command == FSRV_TRACKER_REGISTER)
                FSRV_FUZZ_CHECK(fsrv__resources_add(set, line.type, line.name));
        else if (line.command == FSRV_TRACKER_UNREGISTER)
                fsrv__resources_remove(set, line.type, line.name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct fuzz_input input = { data, size };
        struct fsrv__tracker_cutter cutter = { .n = 0 };
        struct fsrv__resource *set = NULL;
        char piece[700];
        size_t n;

        while ((n = fuzz_message(&input, piece, sizeof piece)) > 0)
                for (const char *at = piece; n > 0;) {
                        size_t taken = fsrv__tracker_cutter_take(&cutter, at, n);
                        FSRV_FUZZ_CHECK(taken > 0 && taken <= n);
                        at += taken;
                        n -= taken;
                        if (cutter.whole && !cutter.overlong)
                                take_line(&set, cutter.bytes, cutter.n);
                }
        fsrv__resources_clean_up(&set);
        return 0;
}
