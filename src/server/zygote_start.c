/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/title.h"
#include "forkserver-host.h"
#include "server/server.h"

/* Returns on failure only: what could not be executed. */
static const char *execute_program(const struct fsrv__server *s) {
        char title[FSRV_TITLE_SIZE];
        char *argv[] = { title, NULL };

        if (s->program >= 0) {
                syscall(SYS_execveat, s->program, "", s->config.argv, environ, AT_EMPTY_PATH);
                if (errno == ENOENT) /* a script: its interpreter would not find the fd, which is close-on-exec */
                        execv(s->config.argv[0], s->config.argv);
                return s->config.argv[0];
        }
        fsrv__title_argument(title, "forkserver: zygote");
        execv(s->zygote_program, argv);
        return s->zygote_program;
}

/* From its beginning: the zygote before this one has read it too. */
static void give_data(const struct fsrv__server *s) {
        if (s->data < 0)
                return;
        lseek(s->data, 0, SEEK_SET);
        if (s->data == FSRV_ZYGOTE_DATA_FD)
                fsrv__fd_set_cloexec(s->data, 0);
        else
                dup2(s->data, FSRV_ZYGOTE_DATA_FD);
}

static _Noreturn void become_zygote(const struct fsrv__server *s, pid_t server, int boot) {
        sigset_t none;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != server)
                _exit(0); /* it died before that; the zygote looks too, but a program runs code of its own first */
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (s->output >= 0)
                dup2(s->output, STDOUT_FILENO);
        if (boot == FSRV_ZYGOTE_BOOT_FD)
                fsrv__fd_set_cloexec(boot, 0);
        else
                dup2(boot, FSRV_ZYGOTE_BOOT_FD);
        fsrv__cloexec_range(FSRV_ZYGOTE_BOOT_FD + 1, UINT_MAX);
        give_data(s);
        /* Else each worker would look up anew what was not called in the zygote before. The zygote takes it out
         * again. */
        setenv("LD_BIND_NOW", FSRV_WIRE_BIND_NOW, 0);
        const char *program = execute_program(s);

        struct fsrv__wire_order order = { .type = FSRV_WIRE_LOAD_FAILED, .err = errno };
        snprintf(order.text, sizeof order.text, "cannot execute the zygote program '%.180s': %.30s", program,
                 strerrordesc_np(order.err));
        fsrv__channel_send(FSRV_ZYGOTE_BOOT_FD, &order, sizeof order, NULL, 0, 0);
        _exit(127);
}

static int send_config(const struct fsrv__server *s, const struct fsrv__zygote *z, int boot) {
        static char bytes[FSRV_WIRE_MESSAGE_MAX];
        struct fsrv__config config = s->config;

        config.path = NULL;
        config.head.server = getpid();
        config.head.has_output = s->output >= 0;
        config.head.killed = z->killed_freezing;
        int n = fsrv__config_encode(&config, bytes);
        return n < 0 ? n : fsrv__channel_send(boot, bytes, (size_t)n, &s->sandbox, s->sandbox >= 0, MSG_DONTWAIT);
}

/* What it is at until it says something else. */
static void name_program(const struct fsrv__server *s, struct fsrv__zygote *z) {
        const char *program = s->program >= 0 ? s->config.argv[0] : "", *slash = strrchr(program, '/');

        z->loading[0] = 0;
        if (s->program >= 0)
                snprintf(z->loading, sizeof z->loading, "%s (%.50s, before fsrv_zygote_enter())", FSRV_PRELOAD_MAIN,
                         slash ? slash + 1 : program);
}

/* Its pidfd, or -errno, and it is as if it had never been. */
static int watch_process(struct fsrv__server *s, const struct fsrv__zygote *z, pid_t pid, int orders) {
        int pidfd = fsrv__pidfd_open(pid), r = pidfd;

        if (r >= 0)
                r = fsrv__watch(s, pidfd, EPOLLIN, FSRV_SOURCE_DEATH, (uint32_t)pid);
        if (r >= 0)
                r = fsrv__watch(s, orders, EPOLLIN, FSRV_SOURCE_ORDERS, z->id);
        if (r >= 0)
                return pidfd;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        fsrv__fd_close(pidfd);
        return r;
}

static int fail_start(const struct fsrv__server *s, struct fsrv__zygote *z, int r, const char *what) {
        fsrv__zygote_blame(s, z, (struct fsrv__failure_of){ FSRV_FAILURE_START, -r, what, NULL });
        return r;
}

int fsrv__zygote_start(struct fsrv__server *s, struct fsrv__zygote *z) {
        int sockets[2], r = fsrv__socketpair(sockets);

        if (r < 0)
                return fail_start(s, z, r, "a socket pair");
        r = send_config(s, z, sockets[0]);
        if (r < 0) {
                fsrv__fds_close(sockets, 2);
                return fail_start(s, z, r, "its configuration");
        }
        pid_t server = getpid(), pid = fork();
        if (pid == 0)
                become_zygote(s, server, sockets[1]);
        int pidfd = pid < 0 ? -errno : watch_process(s, z, pid, sockets[0]);
        fsrv__fd_close(sockets[1]);
        if (pidfd < 0) {
                fsrv__fd_close(sockets[0]);
                return fail_start(s, z, pidfd, pid < 0 ? "fork" : "a pidfd");
        }
        z->pid = pid;
        z->pidfd = pidfd;
        z->orders = sockets[0];
        name_program(s, z);
        return 0;
}
