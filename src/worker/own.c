/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker/worker.h"

#include <string.h>
#include <unistd.h>

#include "base/layout.h"

FSRV__WORKER_VARIABLE struct fsrv__own fsrv__own;
FSRV__WORKER_BUFFER char fsrv__own_buffer[FSRV_WIRE_MESSAGE_MAX];

void fsrv__own_adopt_environment(void) {
        size_t n = 0;

        while (environ && environ[n])
                n++;
        if (environ && n < sizeof fsrv__own.task.lists / sizeof *fsrv__own.task.lists) {
                memcpy(fsrv__own.task.lists, environ, (n + 1) * sizeof *environ);
                environ = fsrv__own.task.lists;
        }
}
