/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "wire/readiness.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/call.h"

void fsrv__readiness_hide(void) {
        signal(SIGSYS, SIG_IGN);
}

void fsrv__readiness_show(void) {
        /* no less than the kernel's struct sigaction: the default, no flags, an empty mask */
        const long standard[8] = { 0 };

        fsrv__call(SYS_rt_sigaction, SIGSYS, standard, NULL, _NSIG / 8);
}

/* 1: SIGSYS is at its default; 0: it is caught or ignored; -errno. And the process's parent. */
static int read_status(const char *path, pid_t *ret_parent) {
        FILE *file = fopen(path, "re");
        char line[256];
        uint64_t set, others = 0;

        if (!file)
                return -errno;
        while (fgets(line, sizeof line, file))
                if (sscanf(line, "SigIgn: %" SCNx64, &set) == 1 || sscanf(line, "SigCgt: %" SCNx64, &set) == 1)
                        others |= set;
                else
                        sscanf(line, "PPid: %d", ret_parent);
        fclose(file);
        return !(others >> (SIGSYS - 1) & 1);
}

/* Whether this process has the signal at its default, as all but emulated ones have. */
static bool can_tell(void) {
        pid_t parent;

        return read_status("/proc/self/status", &parent) == 1;
}

int fsrv__readiness_look(pid_t pid, pid_t parent) {
        char path[64];
        pid_t found = -1;

        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        int r = read_status(path, &found);
        if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
                return r;
        return r != 0 || found != parent || !can_tell();
}
