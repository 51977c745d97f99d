/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/descendants.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/linux.h"

enum { ROUNDS = 8 };

struct family {
        pid_t group;
        size_t n;
        pid_t *pids;
};

static bool has_pid(const struct family *family, pid_t pid) {
        for (size_t i = 0; i < family->n; i++)
                if (family->pids[i] == pid)
                        return true;
        return false;
}

static void add_pid(struct family *family, pid_t pid) {
        pid_t *grown = realloc(family->pids, (family->n + 1) * sizeof *grown);

        if (!grown)
                return;
        family->pids = grown;
        family->pids[family->n++] = pid;
}

static void add_from(struct family *family, const char *path) {
        FILE *list = fopen(path, "re");
        int pid;

        if (!list)
                return;
        while (fscanf(list, "%d", &pid) == 1)
                if (getpgid(pid) == family->group && !has_pid(family, pid))
                        add_pid(family, pid);
        fclose(list);
}

/* The children of each of its threads. */
static void add_children_of(struct family *family, pid_t parent) {
        char path[64 + sizeof((struct dirent *)NULL)->d_name];
        struct dirent *entry;

        snprintf(path, sizeof path, "/proc/%d/task", (int)parent);
        DIR *threads = opendir(path);
        if (!threads)
                return;
        while ((entry = readdir(threads)))
                if (entry->d_name[0] != '.') {
                        snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)parent, entry->d_name);
                        add_from(family, path);
                }
        closedir(threads);
}

static void add_descendants(struct family *family, pid_t pid, bool stop) {
        add_children_of(family, pid);
        for (size_t i = 0; i < family->n; i++) {
                if (stop)
                        kill(family->pids[i], SIGSTOP);
                add_children_of(family, family->pids[i]);
        }
}

/* Each process is stopped before its children are looked for. Then it starts no more of them and reaps none, so each
 * number is still theirs. This is repeated until no new one is found, as another thread may have been in fork(2). */
int fsrv__descendants_signal(pid_t pid, int pidfd, int signal) {
        bool stop = signal == SIGKILL;
        int round = 0, r = fsrv__pidfd_send_signal(pidfd, stop ? SIGSTOP : 0);
        struct family family = { .group = getpgid(pid) };
        size_t known;

        if (r < 0)
                return r;
        do {
                known = family.n;
                add_descendants(&family, pid, stop);
        } while (family.n > known && ++round < ROUNDS);
        while (family.n > 0)
                kill(family.pids[--family.n], signal);
        free(family.pids);
        return fsrv__pidfd_send_signal(pidfd, signal);
}
