/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/title.h"

#include <fcntl.h>
#include <linux/prctl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"

static char *room;
static size_t room_size;
static bool has_name; /* ours to set: of our own programs; and of others where nothing else can be */

void fsrv__title_init(char **argv) {
        room = argv[0];
        room_size = argv[0] ? strlen(argv[0]) + 1 : 0;
        has_name = true;
}

static size_t append(size_t at, const char *part) {
        while (part && *part && at < FSRV_TITLE_SIZE - 1)
                room[at++] = *part++;
        return at;
}

/* What top(1) and pstree(1) show has 15 bytes, so our own name is short there. */
static void set_name(const char *role) {
        static const char ours[] = "forkserver:";
        char name[16] = "";

        if (strncmp(role, ours, sizeof ours - 1) == 0) {
                role += sizeof ours - 1;
                strcpy(name, "fsrv");
        }
        strncat(name, role, sizeof name - 1 - strlen(name));
        prctl(PR_SET_NAME, name);
}

void fsrv__title_set(const char *role, const char *detail) {
        if (has_name)
                set_name(role);
        if (room_size < FSRV_TITLE_SIZE)
                return; /* started by hand: leave the command line as it is */
        size_t n = append(append(0, role), detail);
        memset(room + n, 0, FSRV_TITLE_SIZE - n);
}

/* ---- elsewhere ---- */

/* fields of /proc/PID/stat, as proc(5) numbers them */
enum { START_CODE = 26, END_CODE, START_STACK, START_DATA = 45, END_DATA, START_BRK, ENV_START = 50, ENV_END, FIELDS };

static bool read_fields(uint64_t ret_fields[FIELDS]) {
        FSRV_CLEANUP_FD int fd = fsrv__open("/proc/self/stat", O_RDONLY);
        char text[2048], *at;
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

        if (n <= 0)
                return false;
        text[n] = 0;
        at = strrchr(text, ')'); /* the end of field 2, which may hold anything */
        if (!at || strlen(at) < sizeof ") S ")
                return false;
        at += strlen(") S ");
        for (int i = 4; i < FIELDS; i++)
                ret_fields[i] = strtoull(at, &at, 10); /* negative ones are none of ours */
        return true;
}

/* The kernel takes a whole description of a memory map from any process (PR_SET_MM_MAP). A single field it takes only
 * from one with CAP_SYS_RESOURCE. So this hands over what the kernel has now, but for the arguments. */
static bool move_arguments(const char *start, size_t size) {
        uint64_t field[FIELDS];

        if (!read_fields(field))
                return false;
        struct prctl_mm_map map = {
                .start_code = field[START_CODE],
                .end_code = field[END_CODE],
                .start_data = field[START_DATA],
                .end_data = field[END_DATA],
                .start_brk = field[START_BRK],
                .brk = (uintptr_t)sbrk(0),
                .start_stack = field[START_STACK],
                .arg_start = (uintptr_t)start,
                .arg_end = (uintptr_t)start + size,
                .env_start = field[ENV_START],
                .env_end = field[ENV_END],
                .exe_fd = (uint32_t)-1,
        };
        return prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) == 0;
}

void fsrv__title_move(char memory[FSRV_TITLE_SIZE]) {
        memset(memory, 0, FSRV_TITLE_SIZE);
        if (room_size >= FSRV_TITLE_SIZE)
                memcpy(memory, room, FSRV_TITLE_SIZE - 1); /* a process that looks meanwhile finds this */
        if (move_arguments(memory, FSRV_TITLE_SIZE)) {
                room = memory;
                room_size = FSRV_TITLE_SIZE;
        } else if (!room) {
                has_name = true;
        }
}

void fsrv__title_argument(char ret_argument[FSRV_TITLE_SIZE], const char *title) {
        size_t n = strlen(title);

        if (n > FSRV_TITLE_SIZE - 1)
                n = FSRV_TITLE_SIZE - 1;
        memcpy(ret_argument, title, n);
        memset(ret_argument + n, ' ', FSRV_TITLE_SIZE - 1 - n);
        ret_argument[FSRV_TITLE_SIZE - 1] = 0;
}
