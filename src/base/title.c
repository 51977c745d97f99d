/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char *room;
static size_t room_size;

void fsrv_title_init(char **argv) {
        room = argv[0];
        room_size = argv[0] ? strlen(argv[0]) + 1 : 0;
}

void fsrv_title_set(const char *format, ...) {
        char text[FSRV_TITLE_SIZE];
        va_list args;

        if (room_size < FSRV_TITLE_SIZE)
                return; /* started by hand: leave the command line as it is */
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        size_t n = strlen(text);
        memcpy(room, text, n);
        memset(room + n, 0, FSRV_TITLE_SIZE - n);
}

void fsrv_title_argument(char ret_argument[FSRV_TITLE_SIZE], const char *title) {
        size_t n = strlen(title);

        if (n > FSRV_TITLE_SIZE - 1)
                n = FSRV_TITLE_SIZE - 1;
        memcpy(ret_argument, title, n);
        memset(ret_argument + n, ' ', FSRV_TITLE_SIZE - 1 - n);
        ret_argument[FSRV_TITLE_SIZE - 1] = 0;
}
