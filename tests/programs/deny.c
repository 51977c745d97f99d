/* SPDX-License-Identifier: MIT */
/*
 * deny [--errno NAME] [--count DIRECTORY] FEATURE… -- COMMAND ARG…: executes the command where the kernel seems to lack
 * something (see `rules`). It fails as in a kernel that never had it, or with the errno given: a sandbox says EPERM. In
 * the environment FORKSERVER_DENY says what is missing.
 *
 * With --count each failing call of a program below the directory is counted. At the end the counts are printed, and a
 * feature that nobody asked for is a failure: what was to be seen without it has not been seen.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

enum { ANY = 0, OPEN_TMPFILE = 020200000, LOW16 = 0xFFFF };

static struct rule {
        const char *name;
        int call;
        int argument;         /* where mask isn't 0 */
        uint32_t mask, value; /* (argument & mask) == value */
        int err;
        bool denied;
        unsigned long hits;
} rules[] = {
        /* syscall user dispatch (Linux 5.11) */
        { "sud", SYS_prctl, 0, ~0U, 59, EINVAL, false, 0 },
        /* close_range(2) (5.9; what closes on exec 5.11) */
        { "close_range", 436, 0, ANY, 0, ENOSYS, false, 0 },
        /* clone3(2) (5.3), by which glibc makes threads; sandboxes hide it */
        { "clone3", 435, 0, ANY, 0, ENOSYS, false, 0 },
        /* the exit status of a foreign process by pidfd (6.15): _IOWR(0xFF, 11, …) of any size */
        { "pidfd_info", SYS_ioctl, 1, LOW16, 0xFF0B, ENOTTY, false, 0 },
        /* a signal to the group of a process by pidfd (6.9) */
        { "pidfd_group", 424, 3, ~0U, 4, EINVAL, false, 0 },
        /* the populated pages of a range (6.7): _IOWR('f', 16, …) of any size */
        { "pagemap_scan", SYS_ioctl, 1, LOW16, 0x6610, ENOTTY, false, 0 },
        /* MADV_POPULATE_READ, MADV_POPULATE_WRITE (5.14) */
        { "populate", SYS_madvise, 2, ~1U, 22, EINVAL, false, 0 },
        /* MADV_COLLAPSE (6.1) */
        { "collapse", SYS_madvise, 2, ~0U, 25, EINVAL, false, 0 },
        /* a command line elsewhere (PR_SET_MM, kernels without CONFIG_CHECKPOINT_RESTORE) */
        { "set_mm", SYS_prctl, 0, ~0U, PR_SET_MM, EINVAL, false, 0 },
        /* pwritev2(2), which can write without waiting (to pipes 5.5) */
        { "pwritev2", SYS_pwritev2, 0, ANY, 0, EOPNOTSUPP, false, 0 },
        /* files without a name, which some file systems lack */
        { "tmpfile", SYS_openat, 2, OPEN_TMPFILE, OPEN_TMPFILE, EOPNOTSUPP, false, 0 },
        /* a process with the memory of one that goes on (sandboxes) */
        { "loan", SYS_clone, 0, CLONE_VM | CLONE_VFORK | CLONE_PARENT, CLONE_VM | CLONE_PARENT, EPERM, false, 0 },
        /* what came with cores that end one process alone (5.16) */
        { "futex_waitv", 449, 0, ANY, 0, ENOSYS, false, 0 },
        /* what the library cannot do without, or can in part */
        { "memfd_create", SYS_memfd_create, 0, ANY, 0, ENOSYS, false, 0 },
        { "seal", SYS_fcntl, 1, ~0U, F_ADD_SEALS, EPERM, false, 0 },
        { "pidfd_open", 434, 0, ANY, 0, ENOSYS, false, 0 },
        { "pidfd_send_signal", 424, 0, ANY, 0, ENOSYS, false, 0 },
        { "subreaper", SYS_prctl, 0, ~0U, PR_SET_CHILD_SUBREAPER, EPERM, false, 0 },
        { "wait_pidfd", SYS_waitid, 0, ~0U, 3, EINVAL, false, 0 },
        /* what sandboxes are made of: landlock (5.13), filters, namespaces, mounts by fd (5.2, 5.12) */
        { "landlock", 444, 0, ANY, 0, ENOSYS, false, 0 },
        { "seccomp", SYS_seccomp, 0, ANY, 0, ENOSYS, false, 0 },
        { "unshare", SYS_unshare, 0, ANY, 0, EPERM, false, 0 },
        { "clone_namespace", SYS_clone, 0, CLONE_NEWNS, CLONE_NEWNS, EPERM, false, 0 },
        { "open_tree", 428, 0, ANY, 0, ENOSYS, false, 0 },
        { "mount_setattr", 442, 0, ANY, 0, ENOSYS, false, 0 },
        /* what is there and refuses, being short of something */
        { "pwrite", SYS_pwrite64, 0, ANY, 0, ENOSPC, false, 0 },
        /* in a given place, but for the loader's, which says MAP_DENYWRITE too */
        { "map_fixed", SYS_mmap, 3, ~0U, MAP_PRIVATE | MAP_FIXED, ENOMEM, false, 0 },
};
enum { N_RULES = sizeof rules / sizeof *rules };

static struct sock_filter program[16 * N_RULES];
static unsigned short length;
static const char *counted; /* a directory */

static void append(uint16_t code, uint32_t k, uint8_t if_false) {
        program[length++] = (struct sock_filter){ .code = code, .k = k, .jf = if_false };
}

static void append_rule(const struct rule *rule) {
        bool has_argument = rule->mask != 0;

        append(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0);
        append(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rule->call, has_argument ? 4 : 1);
        if (has_argument) {
                append(BPF_LD | BPF_W | BPF_ABS,
                       (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (size_t)rule->argument), 0);
                append(BPF_ALU | BPF_AND | BPF_K, rule->mask, 0);
                append(BPF_JMP | BPF_JEQ | BPF_K, rule->value, 1);
        }
        append(BPF_RET | BPF_K, counted ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ERRNO | (uint32_t)rule->err, 0);
}

static struct rule *match(const struct seccomp_data *data) {
        for (struct rule *rule = rules; rule < rules + N_RULES; rule++)
                if (rule->denied && rule->call == data->nr &&
                    ((uint32_t)data->args[rule->argument] & rule->mask) == rule->value)
                        return rule;
        return NULL;
}

static bool is_counted(pid_t pid) {
        char path[64], program_path[4096];
        size_t n = strlen(counted);

        snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
        ssize_t size = readlink(path, program_path, sizeof program_path);
        return size > (ssize_t)n && strncmp(program_path, counted, n) == 0 && program_path[n] == '/';
}

static void answer_one(int listener) {
        struct seccomp_notif call = { 0 };
        struct seccomp_notif_resp response = { 0 };

        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
                return; /* the caller has died */
        struct rule *rule = match(&call.data);
        if (rule && is_counted((pid_t)call.pid))
                rule->hits++;
        response.id = call.id;
        response.error = rule ? -rule->err : -ENOSYS;
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/* What is one line of several runs' file; a short write to the end of a file is never mixed with another's. */
static void add_to_file(const char *path, const struct rule *rule) {
        char line[64];
        int n = snprintf(line, sizeof line, "%s %lu\n", rule->name, rule->hits);
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

        if (fd < 0 || write(fd, line, (size_t)n) != n) {
                perror(path);
                exit(125);
        }
        close(fd);
}

/* Whether each feature was missed; of several runs, all of them together have to have missed it. */
static bool tell_hits(void) {
        const char *path = getenv("FORKSERVER_TEST_HITS");
        bool all = true;

        for (const struct rule *rule = rules; rule < rules + N_RULES; rule++) {
                if (!rule->denied)
                        continue;
                if (path)
                        add_to_file(path, rule);
                else
                        fprintf(stderr, "deny: %s, asked for %lu times, failed with %s\n", rule->name, rule->hits,
                                strerrorname_np(rule->err));
                all = all && rule->hits > 0;
        }
        return all || path;
}

/* Its exit code; 1 when a feature was not missed. */
static int count_until_end(int listener, pid_t command) {
        int status;

        signal(SIGINT, SIG_IGN);
        signal(SIGQUIT, SIG_IGN);
        while (waitpid(command, &status, WNOHANG) == 0) {
                struct pollfd entry = { .fd = listener, .events = POLLIN };

                if (poll(&entry, 1, 50) == 1 && entry.revents & POLLIN)
                        answer_one(listener);
        }
        int r = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return !tell_hits() && r == 0 ? 1 : r;
}

static void deny(const char *name, int err) {
        for (struct rule *rule = rules; rule < rules + N_RULES; rule++)
                if (strcmp(rule->name, name) == 0) {
                        rule->denied = true;
                        rule->err = err ? err : rule->err;
                        return;
                }
        fprintf(stderr, "deny: nothing is called '%s'\n", name);
        exit(125);
}

static int parse_errno(const char *name) {
        for (int err = 1; err < 134; err++)
                if (strerrorname_np(err) && strcmp(strerrorname_np(err), name) == 0)
                        return err;
        fprintf(stderr, "deny: no errno is called '%s'\n", name);
        exit(125);
}

/* The command; its environment says what is missing. */
static char **parse(char **word) {
        char names[512] = "";
        int err = 0;

        for (; *word && strcmp(*word, "--") != 0; word++)
                if (strcmp(*word, "--errno") == 0 && word[1])
                        err = parse_errno(*++word);
                else if (strcmp(*word, "--count") == 0 && word[1])
                        counted = realpath(*++word, NULL);
                else {
                        deny(*word, err);
                        snprintf(names + strlen(names), sizeof names - strlen(names), "%s ", *word);
                }
        if (!*word || !*++word) {
                fprintf(stderr, "usage: deny [--errno NAME] [--count DIRECTORY] FEATURE… -- COMMAND ARG…\n");
                exit(125);
        }
        setenv("FORKSERVER_DENY", names, 1);
        return word;
}

/* The listener, with --count. Our own calls pass the filter as well: none of them is of those. */
static int install(void) {
        struct sock_fprog filter = { .filter = program };
        unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;

        for (const struct rule *rule = rules; rule < rules + N_RULES; rule++)
                if (rule->denied)
                        append_rule(rule);
        append(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0);
        filter.len = length;
        /* root could do without, but then a test would differ with the user that runs it */
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -1;
        if (!counted)
                return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
        /* Where the kernel can (5.19), signals don't interrupt a call that waits for our answer: nobody expects EINTR
         * there. */
        int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                    flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &filter);
        return listener < 0 ? (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter) : listener;
}

int main(int argc, char **argv) {
        char **command = parse(argv + 1);
        int listener = install();

        (void)argc;
        if (listener < 0) {
                perror("deny: seccomp");
                return 125;
        }
        pid_t pid = counted ? fork() : 0;
        if (pid > 0)
                return count_until_end(listener, pid);
        if (counted)
                close(listener);
        execvp(*command, command);
        perror(*command);
        return 127;
}
