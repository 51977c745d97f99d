/* SPDX-License-Identifier: MIT */
/* What the torture's zygotes preload: $TORTURE_MIB MiB of memory with a known pattern; and the processes, whose end is
 * told to them beforehand. Without our header and library, as any other shared object. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PAGE = 4096, BAD_MEMORY = 251, BAD_LOG = 252, TOO_LATE = 250, CORE_SIZE = 1 << 16 };

static unsigned long *memory;
static size_t pages;

/* Each begins with its number. */
static unsigned long *page(size_t i) {
        return memory + i * (PAGE / sizeof *memory);
}

int forkserver_preload(void);
int forkserver_preload(void) {
        const char *text = getenv("TORTURE_MIB");

        pages = (text ? strtoul(text, NULL, 10) << 20 : 1 << 20) / PAGE;
        memory = aligned_alloc(PAGE, pages * PAGE);
        for (size_t i = 0; memory && i < pages; i++)
                *page(i) = i;
        return memory ? 0 : -1;
}

/* Some pages hold what was preloaded, and nobody finds what others write there. */
static int check_memory(void) {
        size_t first = (size_t)getpid() * 7919;

        for (size_t n = 0; n < 16; n++) {
                size_t i = (first + n * 127) % pages;
                if (*page(i) != i)
                        return 0;
                *page(i) = ~i;
        }
        return 1;
}

static int append(const char *path, const char *label) {
        char line[64];
        int n = snprintf(line, sizeof line, "%s\n", label), fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        int good = fd >= 0 && write(fd, line, (size_t)n) == n;

        close(fd);
        return good;
}

static int die(int number, rlim_t core) {
        struct rlimit limit;

        getrlimit(RLIMIT_CORE, &limit);
        limit.rlim_cur = core < limit.rlim_max ? core : limit.rlim_max;
        setrlimit(RLIMIT_CORE, &limit);
        raise(number);
        return TOO_LATE;
}

/* The library that the zygote has. */
int fsrv_worker_get_lifeline(void) __attribute__((weak));
int fsrv_worker_get_data(void) __attribute__((weak));

/* To be killed: until then, or with `limited` until the client has gone. */
static void wait_for_client(int limited) {
        struct pollfd lifeline = { .fd = fsrv_worker_get_lifeline ? fsrv_worker_get_lifeline() : -1, .events = POLLIN };

        if (!limited)
                lifeline.fd = -1;
        poll(&lifeline, 1, 600000);
}

/* act LOG LABEL exit|nap|die|dump|hang NUMBER: that it ran is written to LOG first. */
int act(int argc, char **argv);
int act(int argc, char **argv) {
        if (argc != 5 || !append(argv[1], argv[2]))
                return BAD_LOG;
        if (!check_memory())
                return BAD_MEMORY;
        int number = atoi(argv[4]);
        if (strcmp(argv[3], "die") == 0)
                return die(number, 0);
        if (strcmp(argv[3], "dump") == 0)
                return die(number, CORE_SIZE);
        if (strcmp(argv[3], "nap") == 0)
                usleep(20000);
        if (strcmp(argv[3], "hang") == 0) {
                wait_for_client(number);
                return TOO_LATE;
        }
        return number;
}

/* As act, but told by the data fd: three lines, LOG, LABEL and the exit code. */
int act_classic(int argc, char **argv);
int act_classic(int argc, char **argv) {
        FILE *data = fsrv_worker_get_data ? fdopen(fsrv_worker_get_data(), "r") : NULL;
        char path[4096], label[64], number[16];
        char *words[] = { "act", path, label, "exit", number, NULL };

        (void)argc;
        (void)argv;
        if (!data || fscanf(data, "%4095[^\n] %63[^\n] %15[^\n]", path, label, number) != 3)
                return BAD_LOG;
        return act(5, words);
}
