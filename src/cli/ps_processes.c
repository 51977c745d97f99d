/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ps_processes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
        TEXT_SIZE = 2048, /* of stat, whose numbers have 20 digits at most */
        COMMAND_MAX = 1 << 20,
};

/* Up to so many bytes, with a 0 behind them. Their number, or -errno. */
static ssize_t read_file(int folder, const char *path, char *text, size_t size) {
        int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
        size_t n = 0;
        ssize_t r = 0;

        if (fd < 0)
                return -errno;
        while (n < size - 1 && (r = read(fd, text + n, size - 1 - n)) > 0)
                n += (size_t)r;
        r = r < 0 ? -errno : (ssize_t)n;
        close(fd);
        text[n] = 0;
        return r;
}

static uint64_t milliseconds(uint64_t ticks) {
        return ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* The name of field 2 may hold anything, blanks and brackets too. */
static bool parse_stat(char *text, uint64_t now_ms, struct ps_process *ret_process) {
        struct ps_process process = { .owner = PS_NOBODY };
        unsigned long long own_user, own_system, children_user, children_system, start;
        char *name = strchr(text, '('), *end = strrchr(text, ')');
        long threads;

        if (!name || !end || end < name ||
            sscanf(end + 1, " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu %*d %*d %ld %*d %llu",
                   &process.state, &process.parent, &process.group, &own_user, &own_system, &children_user,
                   &children_system, &threads, &start) != 9)
                return false;
        *end = 0;
        process.pid = atoi(text);
        snprintf(process.name, sizeof process.name, "%s", name + 1);
        process.threads = (uint64_t)threads;
        process.cpu_ms = milliseconds(own_user + own_system + children_user + children_system);
        process.start = start;
        process.age_ms = now_ms > milliseconds(start) ? now_ms - milliseconds(start) : 0;
        *ret_process = process;
        return true;
}

static int by_pid(const void *a, const void *b) {
        const struct ps_process *one = a, *other = b;

        return (one->pid > other->pid) - (one->pid < other->pid);
}

static int read_all(DIR *folder, uint64_t now_ms, struct ps_processes *processes) {
        char path[64], text[TEXT_SIZE];
        size_t room = 0;
        struct dirent *entry;

        while ((entry = readdir(folder))) {
                if (!isdigit((unsigned char)entry->d_name[0]))
                        continue;
                if (processes->n == room) {
                        room = room ? 2 * room : 256;
                        struct ps_process *grown = realloc(processes->list, room * sizeof *grown);
                        if (!grown)
                                return -ENOMEM;
                        processes->list = grown;
                }
                snprintf(path, sizeof path, "%.20s/stat", entry->d_name);
                if (read_file(dirfd(folder), path, text, sizeof text) > 0)
                        processes->n += parse_stat(text, now_ms, &processes->list[processes->n]);
        }
        return 0;
}

int ps_processes_read(struct ps_processes *ret_processes) {
        struct ps_processes processes = { 0 };
        struct timespec now;
        DIR *folder = opendir("/proc");

        if (!folder)
                return -errno;
        clock_gettime(CLOCK_BOOTTIME, &now);
        int r = read_all(folder, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, &processes);
        closedir(folder);
        if (r < 0) {
                ps_processes_done(&processes);
                return r;
        }
        if (processes.n > 0)
                qsort(processes.list, processes.n, sizeof *processes.list, by_pid);
        *ret_processes = processes;
        return 0;
}

void ps_processes_done(struct ps_processes *processes) {
        free(processes->list);
        *processes = (struct ps_processes){ 0 };
}

struct ps_process *ps_processes_find(const struct ps_processes *processes, pid_t pid) {
        const struct ps_process wanted = { .pid = pid };

        if (processes->n == 0)
                return NULL;
        return bsearch(&wanted, processes->list, processes->n, sizeof wanted, by_pid);
}

/* ---- families ---- */

enum { UNDECIDED = -2, UNDER_WAY = -3 };

static long group_owner(const struct ps_processes *processes, pid_t group, size_t n_owners, const pid_t *pids) {
        const struct ps_process *leader = ps_processes_find(processes, group);

        if (!leader || leader->owner < 0 || (size_t)leader->owner >= n_owners || pids[leader->owner] != group)
                return PS_NOBODY;
        return leader->owner;
}

/* Its parent's owner. A process without one is of the group's, as an orphan whose parent has ended. The chain is
 * followed with a mark on each process: the list is no snapshot, so there may be a circle in it. */
static void decide(const struct ps_processes *processes, struct ps_process *process, const pid_t *pids, size_t n) {
        struct ps_process *chain[64];
        size_t length = 0;
        long owner = PS_NOBODY;

        while (process && process->owner == UNDECIDED && length < sizeof chain / sizeof *chain) {
                process->owner = UNDER_WAY;
                chain[length++] = process;
                process = ps_processes_find(processes, process->parent);
        }
        if (process && process->owner == UNDECIDED) /* a very long chain */
                decide(processes, process, pids, n);
        if (process && process->owner >= 0)
                owner = process->owner;
        while (length > 0) {
                process = chain[--length];
                if (owner == PS_NOBODY)
                        owner = group_owner(processes, process->group, n, pids);
                process->owner = owner;
        }
}

void ps_processes_own(struct ps_processes *processes, const pid_t *pids, size_t n) {
        for (size_t i = 0; i < processes->n; i++)
                processes->list[i].owner = UNDECIDED;
        for (size_t i = 0; i < n; i++) {
                struct ps_process *process = ps_processes_find(processes, pids[i]);
                if (process)
                        process->owner = (long)i;
        }
        for (size_t i = 0; i < processes->n; i++)
                if (processes->list[i].owner == UNDECIDED)
                        decide(processes, &processes->list[i], pids, n);
}

/* ---- one process ---- */

static int read_pss(pid_t pid, uint64_t *ret_bytes) {
        char path[64], text[TEXT_SIZE];
        unsigned long long kilobytes;

        snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
        ssize_t r = read_file(AT_FDCWD, path, text, sizeof text);
        if (r < 0)
                return (int)r;
        const char *line = strstr(text, "\nPss:");
        if (!line || sscanf(line, " Pss: %llu", &kilobytes) != 1)
                return -ENODATA; /* a zombie */
        *ret_bytes = kilobytes * 1024;
        return 0;
}

int ps_memory_read(pid_t pid, bool pss, uint64_t *ret_bytes) {
        char path[64], text[TEXT_SIZE];
        unsigned long long resident, shared;

        if (pss)
                return read_pss(pid, ret_bytes);
        snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
        ssize_t r = read_file(AT_FDCWD, path, text, sizeof text);
        if (r < 0)
                return (int)r;
        if (sscanf(text, "%*u %llu %llu", &resident, &shared) != 2)
                return -ENODATA;
        *ret_bytes = (resident > shared ? resident - shared : 0) * (uint64_t)sysconf(_SC_PAGESIZE);
        return 0;
}

char *ps_command_read(pid_t pid) {
        char path[64];
        size_t size = 4096;
        char *text = NULL;
        ssize_t n;

        snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
        do {
                char *grown = realloc(text, size);
                n = grown ? read_file(AT_FDCWD, path, grown, size) : -ENOMEM;
                if (n < 0) {
                        free(grown ? grown : text);
                        return NULL;
                }
                text = grown;
                size *= 2;
        } while ((size_t)n == size / 2 - 1 && size <= COMMAND_MAX);
        while (n > 0 && text[n - 1] == 0) /* the room behind a title */
                n--;
        for (ssize_t i = 0; i < n; i++)
                if (text[i] == 0)
                        text[i] = ' ';
        return text;
}
