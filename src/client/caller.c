/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "client/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "client/start.h"

enum { STATUS_SIZE = 4096 };

static int parse_status(const char *text, struct fsrv__caller *ret_caller) {
        const char *mask = strstr(text, "\nUmask:\t"), *ignored = strstr(text, "\nSigIgn:\t");

        if (!mask || !ignored)
                return -ENODATA;
        ret_caller->umask = (uint32_t)strtoul(mask + strlen("\nUmask:\t"), NULL, 8) & 0777;
        ret_caller->signals_ignored = strtoull(ignored + strlen("\nSigIgn:\t"), NULL, 16);
        return 0;
}

static int read_and_parse(int fd, struct fsrv__caller *ret_caller) {
        char *text = malloc(STATUS_SIZE); /* the stack may be small */
        ssize_t n = text ? pread(fd, text, STATUS_SIZE - 1, 0) : -1;
        int r = -ENODATA;

        if (n >= 0) {
                text[n] = 0;
                r = parse_status(text, ret_caller);
        }
        free(text);
        return r;
}

/* ---- without /proc ---- */

static int take_umask(void *data) {
        *(uint32_t *)data = umask(0);
        _exit(0);
}

static int ask_each(struct fsrv__caller *ret_caller) {
        uint64_t ignored = 0;

        for (int s = 1; s < NSIG; s++) {
                struct sigaction action;

                if (sigaction(s, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
                        ignored |= UINT64_C(1) << (s - 1);
        }
        ret_caller->signals_ignored = ignored;
        /* umask(2) tells the old umask by setting another, for all threads. So this runs in a process that has its
         * own. */
        return fsrv__start_function(take_umask, &ret_caller->umask);
}

int fsrv__caller_read(int proc_status, struct fsrv__caller *ret_caller) {
        if (read_and_parse(proc_status, ret_caller) == 0)
                return 0;
        /* The line of the umask is missing once the main thread has ended (pthread_exit in main): ask as this
         * thread. */
        FSRV_CLEANUP_FD int own = fsrv__open("/proc/thread-self/status", O_RDONLY);
        if (own >= 0 && read_and_parse(own, ret_caller) == 0)
                return 0;
        return ask_each(ret_caller);
}
