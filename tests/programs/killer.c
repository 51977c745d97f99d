/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "killer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has_title(pid_t pid, const char *title) {
        char path[64], text[64] = "";

        snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
        FILE *file = fopen(path, "re");
        if (!file)
                return false;
        size_t n = fread(text, 1, sizeof text - 1, file);
        fclose(file);
        return n > 0 && strncmp(text, title, strlen(title)) == 0;
}

static char state(pid_t pid) {
        char path[64], text[512] = "", *end;

        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        FILE *file = fopen(path, "re");
        if (!file)
                return 'X';
        size_t n = fread(text, 1, sizeof text - 1, file);
        fclose(file);
        end = n > 0 ? strrchr(text, ')') : NULL;
        return end && end[1] ? end[2] : 'X';
}

static bool stop(pid_t pid) {
        if (kill(pid, SIGSTOP) < 0)
                return false;
        for (int i = 0; i < 10000; i++) {
                char now = state(pid);
                if (now == 'T' || now == 't')
                        return true;
                if (now == 'Z' || now == 'X')
                        return false;
                usleep(100);
        }
        return false;
}

static bool kill_as(pid_t pid, const char *title) {
        if (!has_title(pid, title))
                return false;
        bool same = stop(pid) && has_title(pid, title);
        if (same)
                kill(pid, SIGKILL);
        else
                kill(pid, SIGCONT);
        return same;
}

static size_t list_children(pid_t parent, int *ret_pids, size_t max) {
        char path[64];
        size_t n = 0;

        snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
        FILE *file = fopen(path, "re");
        while (file && n < max && fscanf(file, "%d", &ret_pids[n]) == 1)
                n++;
        if (file)
                fclose(file);
        return n;
}

bool kill_one(pid_t server, int kind) {
        const char *title = kind == KILL_ZYGOTE ? "forkserver: zygote" : "forkserver: standby";
        int pids[4096];

        if (kind == KILL_SERVER)
                return has_title(server, "forkserver: server") && kill(server, SIGKILL) == 0;
        size_t n = list_children(server, pids, sizeof pids / sizeof *pids), first = n ? (size_t)rand() % n : 0;
        for (size_t i = 0; i < n; i++)
                if (kill_as(pids[(first + i) % n], title))
                        return true;
        return false;
}
