/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_ROOM_H
#define FORKSERVER_CLI_MAP_ROOM_H

/* How much fits below the limit of open files. */

struct map_room {
        unsigned long jobs;  /* at a time */
        unsigned long ahead; /* ordered: how far an item may be from the next one that is shown */
        int fd_max;          /* a pipe with higher numbers is one too many: jobs that run need the rest */
};

/* Raises our own limit as far as that is useful and allowed. Where `jobs` don't fit, it says how many do. 0 or -errno
 * with a complaint. */
int map_room_make(struct map_room *room, unsigned long jobs, unsigned long inherited);

#endif
