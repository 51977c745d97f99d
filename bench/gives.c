/* SPDX-License-Identifier: MIT */
/* Entry points that give something back, as a result or through a pipe; and one that locks itself in. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "forkserver.h"

static struct fsrv_sandbox *sandbox; /* made in the zygote, once */

__attribute__((constructor)) static void make_sandbox(void) {
        if (fsrv_sandbox_new("none", &sandbox, NULL) < 0)
                return;
        if (fsrv_sandbox_add_path(sandbox, "/usr", FSRV_PATH_READ) < 0 ||
            fsrv_sandbox_seal(sandbox, NULL, NULL, NULL) < 0)
                sandbox = fsrv_sandbox_unref(sandbox);
}

enum { LARGE = 64 << 20, PIECE = 64 << 10 };

int noop(int argc, char **argv);
int noop(int argc, char **argv) {
        (void)argc, (void)argv;
        return 7;
}

/* What a worker may do for itself. */
int locked(int argc, char **argv);
int locked(int argc, char **argv) {
        (void)argc, (void)argv;
        return sandbox && fsrv_worker_lock(sandbox, NULL) == 0 ? 7 : 1;
}

/* As many bytes as came. */
int same(int argc, char **argv);
int same(int argc, char **argv) {
        const void *input;
        size_t n;

        (void)argc, (void)argv;
        return fsrv_worker_get_payload(&input, &n) < 0 || fsrv_worker_set_result(input, n) < 0;
}

int large(int argc, char **argv);
int large(int argc, char **argv) {
        void *bytes;

        (void)argc, (void)argv;
        if (fsrv_worker_result_buffer(LARGE, &bytes) < 0)
                return 1;
        memset(bytes, 7, LARGE);
        return 0;
}

/* The same to standard output, made piece by piece while it is read. */
int piped(int argc, char **argv);
int piped(int argc, char **argv) {
        static char piece[PIECE];

        (void)argc, (void)argv;
        for (size_t at = 0; at < LARGE; at += PIECE) {
                memset(piece, 7, PIECE);
                if (write(STDOUT_FILENO, piece, PIECE) != PIECE)
                        return 1;
        }
        return 0;
}
