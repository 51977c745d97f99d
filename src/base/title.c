/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/title.h"

#include <string.h>

static char *room;
static size_t room_size;

void fsrv_title_init(char **argv) {
        room = argv[0];
        room_size = argv[0] ? strlen(argv[0]) + 1 : 0;
}

static size_t append(size_t at, const char *part) {
        while (part && *part && at < FSRV_TITLE_SIZE - 1)
                room[at++] = *part++;
        return at;
}

void fsrv_title_set(const char *role, const char *detail) {
        if (room_size < FSRV_TITLE_SIZE)
                return; /* started by hand: leave the command line as it is */
        size_t n = append(append(0, role), detail);
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
