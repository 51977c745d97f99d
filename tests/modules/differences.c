/* SPDX-License-Identifier: MIT */
/* Entry points of tests/test_differences.py; without our header and library. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* A line of a file of /proc/self: its words after the name. status NAME */
int status(int argc, char **argv) {
        char line[4096];
        FILE *file = fopen("/proc/self/status", "r");

        while (argc > 1 && file && fgets(line, sizeof line, file))
                if (strncmp(line, argv[1], strlen(argv[1])) == 0 && line[strlen(argv[1])] == ':')
                        fputs(line + strlen(argv[1]) + 1, stdout);
        return file ? 0 : 1;
}

/* file PATH: what it holds, on standard output */
int file(int argc, char **argv) {
        char bytes[4096];
        int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;
        ssize_t n = read(fd, bytes, sizeof bytes);

        if (n > 0)
                fwrite(bytes, 1, (size_t)n, stdout);
        return fd < 0;
}

int link_of(int argc, char **argv) {
        char bytes[4096];
        ssize_t n = argc > 1 ? readlink(argv[1], bytes, sizeof bytes - 1) : -1;

        if (n >= 0)
                fwrite(bytes, 1, (size_t)n, stdout);
        return n < 0;
}

int limits(int argc, char **argv) {
        struct rlimit files, processes;

        (void)argc;
        (void)argv;
        getrlimit(RLIMIT_NOFILE, &files);
        getrlimit(RLIMIT_NPROC, &processes);
        printf("%ld %ld %d\n", (long)files.rlim_cur, (long)processes.rlim_cur, getpriority(PRIO_PROCESS, 0));
        return 0;
}

/* Address of a function and of a variable on the stack's page, and the canary's bytes as the auxiliary vector has
 * them */
int secrets(int argc, char **argv) {
        int local;

        (void)argc;
        (void)argv;
        printf("%p %p\n", (void *)secrets, (void *)((unsigned long)&local & ~0xffful));
        return 0;
}

/* die_with_parent FILE: asks to be killed with its parent, then says so and waits */
int die_with_parent(int argc, char **argv) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = argc > 1 ? open(argv[1], O_CREAT | O_WRONLY, 0644) : -1;
        dprintf(fd, "%d", (int)getppid());
        for (;;)
                pause();
}

/* daemon FILE close|keep: leaves a process behind, whose pid goes into FILE */
int daemonise(int argc, char **argv) {
        if (argc < 3)
                return 1;
        pid_t pid = fork();
        if (pid != 0)
                return 0;
        setsid();
        if (fork() != 0)
                _exit(0);
        int fd = open(argv[1], O_CREAT | O_WRONLY | O_TRUNC, 0644);
        dprintf(fd, "%d\n", (int)getpid());
        close(fd);
        if (strcmp(argv[2], "close") == 0)
                for (int i = 3; i < 1024; i++)
                        close(i);
        for (;;)
                pause();
}
