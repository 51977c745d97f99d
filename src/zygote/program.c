/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/title.h"
#include "forkserver-host.h"
#include "wire/config.h"
#include "wire/strings.h"
#include "zygote/entries.h"
#include "zygote/module.h"
#include "zygote/zygote.h"

/* The calls by which a program becomes a zygote: forkserver-zygote, a program of any language that has a host, and a
 * program that is its own zygote. Of the latter the server starts the very file that its client runs, with the same
 * arguments. */

/* ---- which process has started this one? argv and the environment, which helpers inherit, have nothing of it ---- */

/* The configuration waits in the boot socket from before this process was forked. It begins with FSRV_WIRE_VERSION, or
 * with that of another release, which fsrv__config_decode() complains of. */
static bool is_boot_socket(int fd, pid_t *ret_peer) {
        uint32_t version;
        struct ucred peer;
        int domain, type;
        socklen_t n = sizeof domain, m = sizeof type, k = sizeof peer;

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) < 0 || domain != AF_UNIX ||
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &m) < 0 || type != SOCK_SEQPACKET ||
            getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &k) < 0 ||
            recv(fd, &version, sizeof version, MSG_PEEK | MSG_DONTWAIT) != sizeof version)
                return false;
        *ret_peer = peer.pid;
        return version >> 16 == FSRV_WIRE_VERSION >> 16;
}

static bool parent_is_server(void) {
        char path[64], name[16] = "";

        snprintf(path, sizeof path, "/proc/%d/comm", (int)getppid());
        FSRV_CLEANUP_FD int fd = fsrv__open(path, O_RDONLY);
        return fd >= 0 && read(fd, name, sizeof name - 1) > 0 && strcmp(name, "fsrv server\n") == 0;
}

/* 1 in the process that the server started. Code before the call may execute a program, which has fd 3 too, but another
 * parent. To take a zygote for the program itself would be worse than any error: a second service beside the first. So
 * this also looks at what a zygote's execveat(2) leaves behind. 0: another process; -errno: that can't be told. */
static int is_zygote(struct fsrv_error *error) {
        const char *file = (const char *)getauxval(AT_EXECFN);
        int death_signal = 0;
        pid_t peer = 0;
        bool has_boot = is_boot_socket(FSRV_ZYGOTE_BOOT_FD, &peer);

        if (has_boot && peer == getppid())
                return 1;
        if (!file || strncmp(file, "/dev/fd/", strlen("/dev/fd/")) != 0)
                return 0;
        if (has_boot)
                return fsrv__fail_text(error, FSRV_STAGE_START, ECHILD,
                                       "this process is not the zygote that the fork server started: the program has "
                                       "forked before fsrv_zygote_enter(), or the server has died");
        if (prctl(PR_GET_PDEATHSIG, &death_signal) == 0 && death_signal == SIGKILL && parent_is_server())
                return fsrv__fail_text(error, FSRV_STAGE_START, EBADF,
                                       "fd %d, the zygote's connection to its server, was closed before "
                                       "fsrv_zygote_enter()",
                                       FSRV_ZYGOTE_BOOT_FD);
        return 0;
}

/* ---- the arguments of this process: main's argv may have been permuted by getopt(3) ---- */

static char *read_command_line(size_t *ret_size) {
        FSRV_CLEANUP_FD int fd = fsrv__open("/proc/self/cmdline", O_RDONLY);
        char *bytes = NULL;
        size_t n = 0;
        ssize_t k = fd < 0 ? -1 : 1;

        while (k > 0) {
                char *grown = realloc(bytes, n + 4096);
                if (!grown) {
                        free(bytes);
                        return NULL;
                }
                bytes = grown;
                k = read(fd, bytes + n, 4095);
                if (k > 0)
                        n += (size_t)k;
        }
        if (k < 0 || n == 0) {
                free(bytes);
                return NULL;
        }
        if (bytes[n - 1]) /* the program wrote a title there */
                bytes[n++] = 0;
        *ret_size = n;
        return bytes;
}

static int remember_arguments(char **argv) {
        size_t size, n = 0;
        char *bytes = read_command_line(&size);

        if (!bytes) { /* without /proc nothing can be started from here, but that is said when it is tried */
                fsrv__program_argv = argv;
                return 0;
        }
        for (size_t i = 0; i < size; i++)
                n += !bytes[i];
        char **list = calloc(n + 1, sizeof *list);
        if (!list) {
                free(bytes);
                return -ENOMEM;
        }
        const char *at = bytes;
        fsrv__strings_get(&at, bytes + size, n, list);
        fsrv__program_argv = list; /* for the life of the process, like the table */
        return 0;
}

/* ---- the calls ---- */

static int check_arguments(char **argv, const struct fsrv_entry *table, struct fsrv_error *error) {
        if (fsrv__entries_are_set())
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EALREADY, "fsrv_zygote_enter() was called before");
        if (!argv || !table)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "%s is NULL",
                                       argv ? "the table of entry points" : "argv");
        for (const struct fsrv_entry *entry = table; entry->name; entry++)
                if (!entry->name[0] || !entry->function)
                        return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "entry point %td, '%s', has no %s",
                                               entry - table, entry->name, entry->name[0] ? "function" : "name");
        return 0;
}

static int be_zygote(const struct fsrv_host *host) {
        /* It could not be close-on-exec before, so programs that ran before the call have it. It is of no use to them:
         * the sockets that matter come later, and then the server closes its end of this one. */
        fsrv__fd_set_cloexec(FSRV_ZYGOTE_BOOT_FD, 1);
        return fsrv__zygote_run(FSRV_ZYGOTE_BOOT_FD, host);
}

int fsrv_zygote_serve(const struct fsrv_host *host) {
        struct fsrv_error error;
        int here = is_zygote(&error);

        if (here == 1)
                return be_zygote(host);
        dprintf(STDERR_FILENO, "forkserver: %s\n",
                here < 0 ? error.text : "this program is a zygote: only a fork server starts it");
        return 125;
}

int fsrv_zygote_enter(int argc, char **argv, const struct fsrv_entry *table, struct fsrv_error *error) {
        int r = check_arguments(argv, table, error);

        (void)argc;
        if (r < 0)
                return r;
        int here = is_zygote(error);
        if (here < 0)
                return here;
        r = remember_arguments(argv);
        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_START, -r, "the program's arguments");
        fsrv__entries_set(table);
        if (!here)
                return 0;
        int code = be_zygote(&fsrv__module_host);
        fflush(NULL);
        _exit(code); /* not exit(3): what the program registered there may clean up after the program itself */
}

int fsrv_zygote_main(int argc, char **argv) {
        sigset_t none;

        (void)argc;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL); /* `forkserver check` starts the zygote with all signals blocked */
        fsrv__title_init(argv);
        if (fsrv__fd_set_cloexec(FSRV_ZYGOTE_BOOT_FD, 1) < 0) {
                dprintf(STDERR_FILENO,
                        "forkserver-zygote: forkserver-server starts this program; it is not for use by hand\n");
                return 125;
        }
        return fsrv__zygote_run(FSRV_ZYGOTE_BOOT_FD, &fsrv__module_host);
}
