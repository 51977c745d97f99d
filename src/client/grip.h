/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_GRIP_H
#define FSRV_CLIENT_GRIP_H

#include "client/handle.h"

/* What one spawn needs of the handle. It is valid until fsrv__server_release(), whatever other threads do to the
 * handle. */
struct fsrv__grip {
        struct fsrv__link *link;
        int lifeline;
        int proc_status;
        int tracker; /* -1: none */
};

/* Makes sure that the server runs, and takes hold of it. The call ends at the deadline, or when the handle's interrupt
 * says so. 0 or -errno. */
int fsrv__server_acquire(struct fsrv_server *server, int64_t deadline, struct fsrv__grip *ret_grip,
                         struct fsrv_error *error);
void fsrv__server_release(struct fsrv__grip *grip);

/* The same without waiting. */
struct fsrv__pending {
        struct fsrv__launch *launch; /* its `changed` is to be polled */
        int64_t look_at;             /* when to look again though nothing has changed */
};
static inline unsigned fsrv__server_needs(const struct fsrv_server *server) {
        return FSRV_NEEDS_SERVER | (server->wants_tracker ? FSRV_NEEDS_TRACKER : 0);
}
/* 0; 1: it is on its way; -errno. In the end fsrv__server_try_no_more() has to be called. */
int fsrv__server_try(struct fsrv_server *server, unsigned needs, struct fsrv__pending *pending,
                     struct fsrv__grip *ret_grip, struct fsrv_error *error);
void fsrv__server_try_no_more(struct fsrv_server *server, struct fsrv__pending *pending);

/* Makes sure that the tracker runs, until the deadline. Its number, borrowed, or -errno. */
int fsrv__server_need_tracker(struct fsrv_server *server, int64_t deadline, struct fsrv_error *error);
/* The server behind this link is gone: the next acquire makes or finds another. */
void fsrv__server_forget(struct fsrv_server *server, const struct fsrv__link *link);

#endif
