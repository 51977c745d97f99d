/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
/* What a process finds out about itself: "NAME VALUE" lines. It is an entry point, and a program's main with
 * -Dseen=main. With arguments it tries a thing instead, and says how that ended. */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MDWE = 66 }; /* PR_GET_MDWE */

static void copy_lines(const char *path, const char *prefix) {
        char line[4096];
        FILE *file = fopen(path, "re");

        while (file && fgets(line, sizeof line, file))
                if (*prefix == 0 || strchr(line, ':'))
                        printf("%s%s", prefix, line);
        if (file)
                fclose(file);
}

static void say_limits(void) {
        for (int i = 0; i < RLIM_NLIMITS; i++) {
                struct rlimit limit;

                if (getrlimit(i, &limit) == 0)
                        printf("limit%d %lld %lld\n", i, (long long)limit.rlim_cur, (long long)limit.rlim_max);
        }
}

static void say_affinity(void) {
        cpu_set_t set;

        CPU_ZERO(&set);
        sched_getaffinity(0, sizeof set, &set);
        printf("affinity");
        for (int i = 0; i < CPU_SETSIZE; i++)
                if (CPU_ISSET(i, &set))
                        printf(" %d", i);
        printf("\n");
}

static void say_terminal(void) {
        int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
        char name[64] = "none";

        if (fd >= 0 && isatty(0))
                ttyname_r(0, name, sizeof name);
        printf("terminal %s\n", fd < 0 ? "none" : name);
}

static void say_all(void) {
        struct sched_param parameter = { 0 };
        int signal = 0;

        say_limits();
        say_affinity();
        say_terminal();
        sched_getparam(0, &parameter);
        prctl(PR_GET_PDEATHSIG, &signal);
        printf("nice %d\nscheduler %d %d\n", getpriority(PRIO_PROCESS, 0), sched_getscheduler(0),
               parameter.sched_priority);
        printf("io %ld\nslack %d\n", syscall(SYS_ioprio_get, 1, 0), prctl(PR_GET_TIMERSLACK));
        printf("securebits %d\npdeathsig %d\ndumpable %d\nmdwe %d\n", prctl(PR_GET_SECUREBITS), signal,
               prctl(PR_GET_DUMPABLE), prctl(MDWE, 0, 0, 0, 0));
        printf("ids %d %d\n", (int)getuid(), (int)getgid());
        printf("keyring %ld\n", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
        copy_lines("/proc/self/status", "status ");
        copy_lines("/proc/self/cgroup", "cgroup ");
        printf("oom ");
        fflush(stdout);
        copy_lines("/proc/self/oom_score_adj", "");
        printf("cmdline ");
        fflush(stdout);
        copy_lines("/proc/self/cmdline", "");
        printf("\n");
}

/* 0 or errno of the attempt */
static int try(const char *what, const char *argument) {
        int r = -1;

        errno = 0;
        if (strcmp(what, "open") == 0)
                r = open(argument, O_RDONLY | O_CLOEXEC);
        else if (strcmp(what, "setuid") == 0)
                r = setuid((uid_t)atoi(argument));
        else if (strcmp(what, "nice") == 0)
                r = setpriority(PRIO_PROCESS, 0, atoi(argument));
        else if (strcmp(what, "memory") == 0)
                r = mmap(NULL, (size_t)atoll(argument), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
        else if (strcmp(what, "executable") == 0)
                r = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                    MAP_FAILED;
        else if (strcmp(what, "chown") == 0)
                r = chown(argument, 1, 1);
        return r == 0 || errno == 0 ? 0 : errno;
}

int seen(int argc, char **argv) {
        if (argc == 3)
                printf("%s\n", strerrorname_np(try(argv[1], argv[2])));
        else
                say_all();
        return 0;
}
