/* SPDX-License-Identifier: MIT */
/* The sandbox of the requests that follow. */
#define _GNU_SOURCE
#include "spawner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

struct fsrv_sandbox *sandbox_of_requests;

/* bind=SOURCE:TARGET, … */
static int add_mount(struct fsrv_sandbox *sandbox, enum fsrv_mount kind, const char *word) {
        char source[4096];
        const char *colon = strchr(word, ':');

        if (!colon)
                return fsrv_sandbox_add_mount(sandbox, kind, NULL, word);
        snprintf(source, sizeof source, "%.*s", (int)(colon - word), word);
        return fsrv_sandbox_add_mount(sandbox, kind, source, colon + 1);
}

static int add_word(struct fsrv_sandbox *sandbox, const char *word) {
        if (strncmp(word, "read=", 5) == 0)
                return fsrv_sandbox_add_path(sandbox, word + 5, FSRV_PATH_READ);
        if (strncmp(word, "execute=", 8) == 0)
                return fsrv_sandbox_add_path(sandbox, word + 8, FSRV_PATH_READ | FSRV_PATH_EXECUTE);
        if (strncmp(word, "write=", 6) == 0)
                return fsrv_sandbox_add_path(sandbox, word + 6, FSRV_PATH_READ | FSRV_PATH_WRITE | FSRV_PATH_MAKE);
        if (strncmp(word, "bind=", 5) == 0)
                return add_mount(sandbox, FSRV_MOUNT_BIND, word + 5);
        if (strncmp(word, "ro-bind=", 8) == 0)
                return add_mount(sandbox, FSRV_MOUNT_BIND_READ_ONLY, word + 8);
        if (strncmp(word, "tmpfs=", 6) == 0)
                return add_mount(sandbox, FSRV_MOUNT_TMPFS, word + 6);
        if (strncmp(word, "proc=", 5) == 0)
                return add_mount(sandbox, FSRV_MOUNT_PROC, word + 5);
        if (strncmp(word, "flags=", 6) == 0)
                return fsrv_sandbox_set_flags(sandbox, (uint32_t)atoi(word + 6));
        fprintf(stderr, "spawner: no word '%s' of a sandbox\n", word);
        exit(2);
}

/* set_sandbox [PROFILE [WORD]…]: that of all requests made from now on; none
 */
void do_set_sandbox(int argc, char **argv) {
        struct fsrv_sandbox *made = NULL;
        int r = argc > 1 ? fsrv_sandbox_new(argv[1], &made, fresh_error()) : 0;

        if (argc == 1)
                fresh_error();
        for (int i = 2; i < argc && r == 0; i++)
                r = add_word(made, argv[i]);
        if (r == 0 && made)
                r = fsrv_sandbox_seal(made, NULL, NULL, fresh_error());
        if (r < 0)
                made = fsrv_sandbox_unref(made);
        fsrv_sandbox_unref(sandbox_of_requests);
        sandbox_of_requests = made;
        say(r);
}
