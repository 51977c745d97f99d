/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "map.h"

int map_terminal_open(void) {
        int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);

        if (fd >= 0)
                return fd;
        int err = errno;
        cli_complain("map: --tty: there is no terminal: %s", strerror(err));
        return -err;
}

void map_terminal_lend(struct map_job *job) {
        int r = cli_terminal_lend(fsrv_process_get_pid(job->process));

        if (r == -EPERM) { /* in the background: wait until the shell brings us to the front */
                raise(SIGTTOU);
                r = cli_terminal_lend(fsrv_process_get_pid(job->process));
        }
        if (r == 0 || r == -ESRCH) /* it may have ended */
                return;
        cli_complain("map: cannot lend the terminal: %s", strerror(-r));
        fsrv_process_kill_group(job->process, SIGKILL);
}

void map_terminal_on_stop(struct map_job *job, int signal) {
        if (signal != SIGTTIN && signal != SIGTTOU) {
                cli_terminal_take_back();
                raise(SIGTSTP); /* returns when the shell continues us */
        }
        map_terminal_lend(job);
        fsrv_process_kill_group(job->process, SIGCONT);
}

void map_terminal_take_back(int signal) {
        cli_terminal_take_back();
        if (signal == SIGINT || signal == SIGQUIT)
                raise(SIGINT);
}
