/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker/worker.h"

#include <string.h>
#include <unistd.h>

/* The last in .bss (src/meson.build): all small variables, which a worker writes to as well, share a page with the
 * beginning of it. */
struct fsrv__own fsrv__own;

void fsrv__own_adopt_environment(void) {
        size_t n = 0;

        while (environ && environ[n])
                n++;
        if (environ && n < sizeof fsrv__own.task.lists / sizeof *fsrv__own.task.lists) {
                memcpy(fsrv__own.task.lists, environ, (n + 1) * sizeof *environ);
                environ = fsrv__own.task.lists;
        }
}
