/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "client/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

static int parse(const char *text, struct fsrv_caller *ret_caller) {
        const char *mask = strstr(text, "\nUmask:\t"), *ignored = strstr(text, "\nSigIgn:\t");

        if (!mask || !ignored)
                return -ENODATA;
        ret_caller->umask = (uint32_t)strtoul(mask + strlen("\nUmask:\t"), NULL, 8) & 0777;
        ret_caller->signals_ignored = strtoull(ignored + strlen("\nSigIgn:\t"), NULL, 16);
        return 0;
}

static int read_and_parse(int fd, struct fsrv_caller *ret_caller) {
        char text[4096];
        ssize_t n = pread(fd, text, sizeof text - 1, 0);

        if (n < 0)
                return -errno;
        text[n] = 0;
        return parse(text, ret_caller);
}

int fsrv_caller_read(int proc_status, struct fsrv_caller *ret_caller) {
        int r = read_and_parse(proc_status, ret_caller);

        if (r == 0)
                return 0;
        /* The line of the umask is missing once the main thread has ended (pthread_exit in main): ask as this
         * thread. */
        FSRV_CLEANUP_FD int own = fsrv_open("/proc/thread-self/status", O_RDONLY);
        return own < 0 ? own : read_and_parse(own, ret_caller);
}
