/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_groups.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

enum { OF_GROUP = 4 }; /* PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9 */

/* Whether it could be sent to anybody. */
static bool send(int leader, int signal) {
        return syscall(SYS_pidfd_send_signal, leader, signal, NULL, OF_GROUP) == 0;
}

void map_groups_add(struct map_groups *groups, int pidfd) {
        int leader = pidfd < 0 ? -1 : fcntl(pidfd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

        if (leader >= 0 && groups->n == groups->size) {
                size_t size = 2 * groups->size + 8;
                int *leaders = realloc(groups->leaders, size * sizeof *leaders);
                if (!leaders) {
                        close(leader);
                        return;
                }
                groups->leaders = leaders;
                groups->size = size;
        }
        if (leader >= 0)
                groups->leaders[groups->n++] = leader;
}

bool map_groups_are_empty(struct map_groups *groups) {
        for (size_t i = groups->n; i-- > 0;)
                if (!send(groups->leaders[i], 0)) {
                        close(groups->leaders[i]);
                        groups->leaders[i] = groups->leaders[--groups->n];
                }
        return groups->n == 0;
}

void map_groups_kill(struct map_groups *groups) {
        for (size_t i = 0; i < groups->n; i++) {
                send(groups->leaders[i], SIGKILL);
                close(groups->leaders[i]);
        }
        free(groups->leaders);
        *groups = (struct map_groups){ 0 };
}
