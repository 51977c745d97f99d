/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli.h"

enum { LOOKED_AT = 4096 }; /* fds, without /proc */

/* An fd that was opened before the limit was lowered cannot be passed on. */
static bool is_beyond_limit(int fd) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || (rlim_t)fd < limit.rlim_max)
                return false;
        cli_complain("fd %d is not passed on: no more than %lu files may be open (ulimit -n)", fd,
                     (unsigned long)limit.rlim_max);
        return true;
}

static int add_if_inherited(struct cli_inherited *inherited, int fd) {
        int flags = fcntl(fd, F_GETFD);

        if (fd <= STDERR_FILENO || flags < 0 || flags & FD_CLOEXEC || is_beyond_limit(fd))
                return 0;
        int *grown = realloc(inherited->fds, (inherited->n + 1) * sizeof *grown);
        if (!grown)
                return -ENOMEM;
        inherited->fds = grown;
        inherited->fds[inherited->n++] = fd;
        return 0;
}

int cli_inherited_collect(struct cli_inherited *inherited) {
        DIR *directory = opendir("/proc/self/fd");
        int r = 0;

        *inherited = (struct cli_inherited){ 0 };
        if (!directory) {
                for (int fd = STDERR_FILENO + 1; r == 0 && fd < LOOKED_AT; fd++)
                        r = add_if_inherited(inherited, fd);
                return r;
        }
        for (struct dirent *entry; r == 0 && (entry = readdir(directory));)
                r = add_if_inherited(inherited, atoi(entry->d_name));
        closedir(directory);
        return r;
}

int cli_inherited_pass_on(const struct cli_inherited *inherited, struct fsrv_request *request) {
        int r = 0;

        for (int fd = 0; r >= 0 && fd <= STDERR_FILENO; fd++)
                if (cli_closed_streams & 1u << fd)
                        r = fsrv_request_add_close(request, fd);
        for (size_t i = 0; r >= 0 && i < inherited->n; i++)
                r = fsrv_request_add_inherited(request, inherited->fds[i]);
        return r;
}

void cli_inherited_done(struct cli_inherited *inherited) {
        free(inherited->fds);
        *inherited = (struct cli_inherited){ 0 };
}
