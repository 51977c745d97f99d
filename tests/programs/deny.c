/* SPDX-License-Identifier: MIT */
/*
 * deny NAME… -- COMMAND ARG…: executes the command where the kernel seems to lack something:
 *   sud          syscall user dispatch (Linux 5.11)
 *   close_range  close_range(2) (5.9)
 *   pidfd_info   the exit status of a foreign process by pidfd (6.15)
 *   set_mm       a command line elsewhere (PR_SET_MM, kernels without CONFIG_CHECKPOINT_RESTORE)
 *   memfd_create files in memory alone
 *   pagemap_scan the populated pages of a range (6.7)
 *   collapse     huge pages on demand (MADV_COLLAPSE, 6.1)
 * or where it refuses, as it does when it is short of something:
 *   pwrite       writing at an offset: no space
 *   map_fixed    private mappings of files in a given place, but the loader's: no memory
 *   seal         sealing a memfd: not permitted
 *
 * Called by another name, as by a symbolic link DIRECTORY/PROGRAM, it takes the names from the file DIRECTORY/.deny and
 * executes DIRECTORY/.real/PROGRAM with its own arguments: so a test suite can put it before a program of which its
 * tests know the path alone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, what))
#define SKIP_UNLESS(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, n)
#define FAIL_WITH(err) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (err))

static const struct sock_filter sud[] = {
        LOAD(nr), SKIP_UNLESS(SYS_prctl, 3), LOAD(args[0]), SKIP_UNLESS(59, 1), FAIL_WITH(EINVAL),
};
static const struct sock_filter close_range_filter[] = {
        LOAD(nr), SKIP_UNLESS(436, 1), FAIL_WITH(ENOSYS),
};
/* _IOWR(0xFF, 11, …) of any size */
static const struct sock_filter pidfd_info[] = {
        LOAD(nr), SKIP_UNLESS(SYS_ioctl, 4), LOAD(args[1]), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xFFFF),
        SKIP_UNLESS(0xFF0B, 1), FAIL_WITH(ENOTTY),
};
static const struct sock_filter set_mm[] = {
        LOAD(nr), SKIP_UNLESS(SYS_prctl, 3), LOAD(args[0]), SKIP_UNLESS(35, 1), FAIL_WITH(EINVAL),
};
static const struct sock_filter memfd_filter[] = {
        LOAD(nr), SKIP_UNLESS(SYS_memfd_create, 1), FAIL_WITH(ENOSYS),
};
/* _IOWR('f', 16, …) of any size */
static const struct sock_filter pagemap_scan[] = {
        LOAD(nr), SKIP_UNLESS(SYS_ioctl, 4), LOAD(args[1]), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xFFFF),
        SKIP_UNLESS(0x6610, 1), FAIL_WITH(ENOTTY),
};
static const struct sock_filter collapse[] = {
        LOAD(nr), SKIP_UNLESS(SYS_madvise, 3), LOAD(args[2]), SKIP_UNLESS(25, 1), FAIL_WITH(EINVAL),
};
static const struct sock_filter pwrite_filter[] = {
        LOAD(nr), SKIP_UNLESS(SYS_pwrite64, 1), FAIL_WITH(ENOSPC),
};
/* The loader says MAP_DENYWRITE too. */
static const struct sock_filter map_fixed[] = {
        LOAD(nr), SKIP_UNLESS(SYS_mmap, 3), LOAD(args[3]), SKIP_UNLESS(MAP_PRIVATE | MAP_FIXED, 1), FAIL_WITH(ENOMEM),
};
static const struct sock_filter seal[] = {
        LOAD(nr), SKIP_UNLESS(SYS_fcntl, 3), LOAD(args[1]), SKIP_UNLESS(F_ADD_SEALS, 1), FAIL_WITH(EPERM),
};
static const struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };

#define COUNT(list) (sizeof list / sizeof *list)

static const struct {
        const char *name;
        const struct sock_filter *filter;
        size_t n;
} known[] = {
        { "sud", sud, COUNT(sud) },
        { "close_range", close_range_filter, COUNT(close_range_filter) },
        { "pidfd_info", pidfd_info, COUNT(pidfd_info) },
        { "set_mm", set_mm, COUNT(set_mm) },
        { "memfd_create", memfd_filter, COUNT(memfd_filter) },
        { "pagemap_scan", pagemap_scan, COUNT(pagemap_scan) },
        { "collapse", collapse, COUNT(collapse) },
        { "pwrite", pwrite_filter, COUNT(pwrite_filter) },
        { "map_fixed", map_fixed, COUNT(map_fixed) },
        { "seal", seal, COUNT(seal) },
};

static struct sock_filter program[64];
static unsigned short length;

static void append(const struct sock_filter *filter, size_t n) {
        memcpy(program + length, filter, n * sizeof *filter);
        length = (unsigned short)(length + n);
}

static void deny(const char *name) {
        for (size_t i = 0; i < COUNT(known); i++)
                if (strcmp(known[i].name, name) == 0) {
                        append(known[i].filter, known[i].n);
                        return;
                }
        fprintf(stderr, "deny: nothing is called '%s'\n", name);
        exit(125);
}

static void read_names(const char *directory) {
        char path[4096], name[32];

        snprintf(path, sizeof path, "%s/.deny", directory);
        FILE *file = fopen(path, "re");
        while (file && fscanf(file, "%31s", name) == 1)
                deny(name);
        if (file)
                fclose(file);
}

int main(int argc, char **argv) {
        char *by_path = strdup(argv[0]), *by_name = strdup(argv[0]);
        char *directory = dirname(by_path), *called = basename(by_name);
        static char real[8192];
        char **command = argv;

        if (strcmp(called, "deny") != 0) {
                read_names(directory);
                snprintf(real, sizeof real, "%s/.real/%s", directory, called);
        } else {
                for (command = argv + 1; *command && strcmp(*command, "--") != 0; command++)
                        deny(*command);
                if (!*command || !*++command) {
                        fprintf(stderr, "usage: deny NAME… -- COMMAND ARG…\n");
                        return 125;
                }
        }
        (void)argc;
        append(allow, COUNT(allow));
        struct sock_fprog filter = { .len = length, .filter = program };
        /* root could do without, but then a test would differ with who runs it */
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0) {
                perror("deny: seccomp");
                return 125;
        }
        execvp(real[0] ? real : *command, command);
        perror(*command);
        return 127;
}
