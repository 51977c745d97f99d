/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_groups.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

enum { OF_GROUP = 4 }; /* PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9 */

/* Whether there was a process to send it to. */
static bool send(int leader, int signal) {
        return syscall(SYS_pidfd_send_signal, leader, signal, NULL, OF_GROUP) == 0;
}

static bool lives_in(const char *pid, pid_t pgid) {
        char path[300], text[512], state;
        int group;

        snprintf(path, sizeof path, "/proc/%s/stat", pid);
        FILE *file = fopen(path, "re");
        if (!file)
                return false;
        text[fread(text, 1, sizeof text - 1, file)] = 0;
        fclose(file);
        const char *rest = strrchr(text, ')'); /* behind its name, which may have anything in it */
        return rest && sscanf(rest + 1, " %c %*d %d", &state, &group) == 2 && group == pgid && state != 'Z' &&
               state != 'X';
}

/* Not every process 1 reaps its orphans, or does it soon. */
static bool has_only_zombies(pid_t pgid) {
        DIR *directory = opendir("/proc");
        bool lives = !directory;

        for (struct dirent *entry; !lives && (entry = readdir(directory));)
                lives = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && lives_in(entry->d_name, pgid);
        if (directory)
                closedir(directory);
        return !lives;
}

void map_groups_add(struct map_groups *groups, int pidfd, pid_t pgid) {
        int leader = pidfd < 0 ? -1 : fcntl(pidfd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

        if (leader >= 0 && groups->n == groups->size) {
                size_t size = 2 * groups->size + 8;
                struct map_group *of = realloc(groups->of, size * sizeof *of);
                if (!of) {
                        close(leader);
                        return;
                }
                groups->of = of;
                groups->size = size;
        }
        if (leader >= 0)
                groups->of[groups->n++] = (struct map_group){ leader, pgid };
}

bool map_groups_are_empty(struct map_groups *groups) {
        for (size_t i = groups->n; i-- > 0;)
                if (!send(groups->of[i].leader, 0) || has_only_zombies(groups->of[i].pgid)) {
                        close(groups->of[i].leader);
                        groups->of[i] = groups->of[--groups->n];
                }
        return groups->n == 0;
}

void map_groups_kill(struct map_groups *groups) {
        for (size_t i = 0; i < groups->n; i++) {
                send(groups->of[i].leader, SIGKILL);
                close(groups->of[i].leader);
        }
        free(groups->of);
        *groups = (struct map_groups){ 0 };
}
