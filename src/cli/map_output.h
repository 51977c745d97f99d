/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_OUTPUT_H
#define FORKSERVER_CLI_MAP_OUTPUT_H

/* What an item's process prints: it comes through pipes, waits for its turn, and is shown. */

#include <stdbool.h>

#include "map_event.h"
#include "map_store.h"

struct map_outputs;

struct map_output {
        enum map_event event;
        struct map_outputs *both;
        int to;       /* our own standard output or standard error */
        int ends[2];  /* of the pipe: we read the first, the process has the second; -1: closed */
        bool in_line; /* what was shown last is no whole line */
        int lost;     /* errno: not all could be kept */
        struct map_store store;
};

/* Both of one process. A process that it left behind may write to them when it has ended. */
struct map_outputs {
        struct map_output of[2];
        const char *tag; /* stands before each line; NULL: nothing does. Borrowed */
        char *own_tag;   /* once the item is gone */
        int epoll;       /* where they are watched; -1: nowhere */
        bool live;       /* whole lines are shown as they come; one without end in pieces */
        struct map_outputs *next;
};

/* 0 or -errno; -EMFILE also if an fd would be above `fd_max`. */
int map_outputs_new(const char *tag, int fd_max, struct map_outputs **ret_outputs);
/* Takes NULL. */
void map_outputs_free(struct map_outputs *outputs);
/* Whether a process may still write to them. */
bool map_outputs_are_open(const struct map_outputs *outputs);
/* Something waits to be shown. Takes NULL. */
bool map_outputs_have_some(const struct map_outputs *outputs);
/* The process has ended: takes what is in the pipes now. */
int map_outputs_finish(struct map_outputs *outputs);
/* Whole lines are shown from now on, those that came before at once. */
int map_outputs_set_live(struct map_outputs *outputs);
/* Takes what has come, once. 1: there may be more; 0: not now, or it has ended; -errno: it could not be shown. */
int map_output_read(struct map_output *output);
/* Shows all that came, and from now on whole lines as they come. */
int map_output_show(struct map_output *output);
/* Whether the reader of our standard output has gone. */
bool map_output_is_unread(void);

#endif
