/* SPDX-License-Identifier: MIT */
/* init COMMAND ARG…: runs the command, and reaps all orphans meanwhile, as pid 1 does. Exits as the command did. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
        int status;
        pid_t pid;

        if (argc < 2 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                return 125;
        pid_t command = fork();
        if (command == 0) {
                execvp(argv[1], argv + 1);
                perror(argv[1]);
                _exit(127);
        }
        do
                pid = waitpid(-1, &status, 0);
        while (pid > 0 && pid != command);
        if (pid < 0)
                return 125;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
