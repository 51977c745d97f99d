/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_PS_VIEW_H
#define FORKSERVER_CLI_PS_VIEW_H

/* The processes of a server at one moment: what the server says of them, and what /proc does. */

#include "ps_options.h"
#include "ps_processes.h"

struct ps_row {
        struct fsrv_listed of;
        bool is_known; /* whether /proc knows it. What is below is 0 otherwise. */
        bool has_memory;
        char state;
        char name[64]; /* comm */
        uint64_t start;
        /* The family's: it, its descendants, and the process group that it leads. */
        uint64_t members, threads, cpu_ms, memory;
        double share; /* of one processor, in percent: since the view before, or else since it began */
};

struct ps_view {
        struct fsrv_stats stats;
        struct ps_row *rows;
        size_t n;
        int64_t at_ms;
        bool is_ours;         /* the server is in our pid namespace: its pids are ours */
        double spawns, exits; /* for each second */
        int listener;         /* see find_listener() */
};

/* before: the last view of the same server, which gets another order; or one of zeros. */
int ps_view_take(struct fsrv_server *server, const struct ps_options *options, struct ps_view *before,
                 struct ps_view *ret_view, struct fsrv_error *error);
void ps_view_done(struct ps_view *view);
void ps_view_sort(struct ps_view *view, uint32_t order, bool by_share);

#endif
