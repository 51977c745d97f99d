/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/fd.h"
#include "client/server.h"

struct fsrv_link *fsrv_link_new(int doorbell) {
        struct fsrv_link *link = malloc(sizeof *link);

        if (!link) {
                fsrv_fd_close(doorbell);
                return NULL;
        }
        atomic_init(&link->references, 1);
        link->doorbell = doorbell;
        return link;
}

struct fsrv_link *fsrv_link_unref(struct fsrv_link *link) {
        if (link && atomic_fetch_sub(&link->references, 1) == 1) {
                fsrv_fd_close(link->doorbell);
                free(link);
        }
        return NULL;
}
