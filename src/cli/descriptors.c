/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

enum { LOOKED_AT = 65536 }; /* fds, without close_range(2) (Linux 5.9) and /proc: the limit may be a milliard */

static int compare(const void *a, const void *b) {
        int x = *(const int *)a, y = *(const int *)b;

        return (x > y) - (x < y);
}

static bool close_range_of(unsigned first, unsigned last) {
        return first > last || syscall(SYS_close_range, first, last, 0) == 0;
}

static bool close_between(const int *kept, size_t n) {
        unsigned first = 0;

        for (size_t i = 0; i < n; i++) {
                if (kept[i] < 0)
                        continue;
                if ((unsigned)kept[i] > first && !close_range_of(first, (unsigned)kept[i] - 1))
                        return false;
                first = (unsigned)kept[i] + 1;
        }
        return close_range_of(first, INT_MAX);
}

static void close_one(int fd, const int *kept, size_t n) {
        if (!bsearch(&fd, kept, n, sizeof *kept, compare))
                close(fd);
}

void cli_close_all_but(int *kept, size_t n) {
        qsort(kept, n, sizeof *kept, compare);
        if (close_between(kept, n))
                return;
        DIR *directory = opendir("/proc/self/fd");
        for (int fd = 0; !directory && fd < LOOKED_AT; fd++)
                close_one(fd, kept, n);
        if (!directory)
                return;
        for (struct dirent *entry; (entry = readdir(directory));)
                if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(directory))
                        close_one(atoi(entry->d_name), kept, n);
        closedir(directory);
}
