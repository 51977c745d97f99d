/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_GROUPS_H
#define FORKSERVER_CLI_MAP_GROUPS_H

/* Process groups that are being ended: each has time for it, also when the process that leads it has ended. All zero:
 * none. Before Linux 6.9 a group can't be named for sure without its leader: what the leader leaves behind is left. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct map_groups {
        struct map_group {
                int leader; /* a pidfd */
                pid_t pgid;
        } * of;
        size_t n, size;
};

/* The one that the process leads; the pidfd is copied. Where there is no room for it its rest is left. */
void map_groups_add(struct map_groups *groups, int pidfd, pid_t pgid);
/* Whether all are empty now; those that are empty are forgotten. */
bool map_groups_are_empty(struct map_groups *groups);
/* SIGKILL to all, which are forgotten. */
void map_groups_kill(struct map_groups *groups);

#endif
