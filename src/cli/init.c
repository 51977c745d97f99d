/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

/* The command alone holds its fds: the reader of a pipe must see its end when the command closes it. */
static void close_all_fds(void) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        for (int fd = 0; null >= 0 && fd < STDERR_FILENO; fd++)
                dup2(null, fd);
        cli_close_all_but((int[]){ STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO }, 3);
}

/* Reaps until the command has ended. Returns how it ended, as an exit code. */
static int reap(pid_t command) {
        int status;

        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
                if (pid == command)
                        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        return -1;
}

/* The terminal's signals reach the command by themselves, but for those that are told to a session's leader. */
static bool reaches_all(const siginfo_t *info) {
        return info->si_code == SI_KERNEL && info->si_signo != SIGHUP && info->si_signo != SIGCONT;
}

static _Noreturn void be_init(pid_t command, const sigset_t *all) {
        int code = -1;

        close_all_fds();
        while (code < 0) {
                siginfo_t info;

                if (sigwaitinfo(all, &info) < 0)
                        continue;
                if (info.si_signo == SIGCHLD)
                        code = reap(command);
                else if (!reaches_all(&info))
                        kill(command, info.si_signo);
        }
        _exit(code);
}

int cli_leave_pid_1(void) {
        sigset_t all, before;

        if (getpid() != 1)
                return 0;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, &before);
        signal(SIGCHLD, SIG_DFL);
        pid_t command = fork();
        if (command > 0)
                be_init(command, &all);
        int err = errno;
        sigprocmask(SIG_SETMASK, &before, NULL);
        if (command < 0)
                cli_complain("cannot fork: %s", strerror(err));
        return command < 0 ? -err : 0;
}
