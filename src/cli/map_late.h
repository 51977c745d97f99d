/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_LATE_H
#define FORKSERVER_CLI_MAP_LATE_H

/* Outputs of items that have been shown, which processes that they left behind still hold. What comes is shown line by
 * line. */

#include "map_output.h"

enum { MAP_LATE_MAX = 64 };

struct map_late {
        struct map_outputs *first;
        unsigned long n;
};

/* Takes the outputs and copies their tag; what is held of them is dropped. Where there are too many the oldest are
 * handed over. */
void map_late_add(struct map_late *late, struct map_outputs *outputs);
/* Frees outputs that have ended, if they are among these. */
void map_late_remove(struct map_late *late, struct map_outputs *outputs);
/* A process of its own goes on reading, until the last writer is gone: the writers live as if they wrote to our own
 * standard output. */
void map_late_hand_over(struct map_late *late);

#endif
