/* SPDX-License-Identifier: MIT */
/*
 * A module over libmagic: the database is loaded once, in the zygote; each worker classifies a file with it. A hostile
 * file that makes libmagic crash ends one worker, and nothing else.
 */
#include <magic.h>
#include <stdio.h>
#include <stdlib.h>

int forkserver_preload(void);
int classify(int argc, char **argv);

static magic_t magic;

/* Called once by the zygote. Module and function need no header and no library of Forkserver's. */
int forkserver_preload(void) {
        magic = magic_open(MAGIC_MIME_TYPE);
        return magic && magic_load(magic, NULL) == 0 ? 0 : -1;
}

/* An entry point has main's signature; what it returns is the exit code. */
int classify(int argc, char **argv) {
        int result = 0;

        for (int i = 1; i < argc; i++) {
                const char *type = magic_file(magic, argv[i]);
                if (type)
                        printf("%s: %s\n", argv[i], type);
                else {
                        fprintf(stderr, "%s: %s\n", argv[i], magic_error(magic));
                        result = 1;
                }
        }
        return result;
}
