/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_fit.h"

#include <string.h>
#include <unistd.h>

#include "map_arguments.h"

extern char **environ;

enum {
        HEADROOM = 4096,            /* for what an interpreter's line adds, and for a program that adds a variable */
        ROOM_MAX = 2 * 1024 * 1024, /* of the usual stack; a server that was started elsewhere may have less */
        ROOM_MIN = 32 * 1024,
        STRING_MAX = 128 * 1024, /* execve(2): MAX_ARG_STRLEN */
};

static size_t room_for_arguments(void) {
        long max = sysconf(_SC_ARG_MAX);
        size_t room = max > 0 && max < ROOM_MAX ? (size_t)max : ROOM_MAX, taken = HEADROOM;

        for (char **variable = environ; variable && *variable; variable++)
                taken += strlen(*variable) + 1 + sizeof *variable;
        return room > taken + ROOM_MIN ? room - taken : ROOM_MIN;
}

static size_t bare_size(const struct map_options *options) {
        return map_arguments_size(options, NULL, 0);
}

void map_fit_init(struct map_fit *fit, const struct map_options *options) {
        size_t room = room_for_arguments(), bare = bare_size(options);

        *fit = (struct map_fit){ .room = room > bare ? room - bare : 0 };
}

size_t map_fit_size(const struct map_options *options, const char *value) {
        size_t size = map_arguments_size(options, &value, 1) - bare_size(options);

        return !options->target.entry && !options->is_read && strlen(value) >= STRING_MAX ? MAP_FIT_NEVER : size;
}
