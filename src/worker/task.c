/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker/worker.h"

#include <string.h>
#include <unistd.h>

#include "base/layout.h"

FSRV__WORKER_VARIABLE struct fsrv__task fsrv__task;
FSRV__WORKER_VARIABLE struct fsrv__message fsrv__task_message;
FSRV__WORKER_BUFFER char fsrv__task_bytes[FSRV_WIRE_MESSAGE_MAX];

void fsrv__task_adopt_environment(void) {
        size_t n = 0;

        while (environ && environ[n])
                n++;
        if (environ && n < sizeof fsrv__task.lists / sizeof *fsrv__task.lists) {
                memcpy(fsrv__task.lists, environ, (n + 1) * sizeof *environ);
                environ = fsrv__task.lists;
        }
}
