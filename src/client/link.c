/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/fd.h"
#include "client/handle.h"

struct fsrv__link *fsrv__link_new(int doorbell) {
        struct fsrv__link *link = malloc(sizeof *link);

        if (!link) {
                fsrv__fd_close(doorbell);
                return NULL;
        }
        atomic_init(&link->references, 1);
        link->doorbell = doorbell;
        link->sandboxes = NULL;
        return link;
}

struct fsrv__link *fsrv__link_unref(struct fsrv__link *link) {
        if (link && atomic_fetch_sub(&link->references, 1) == 1) {
                while (link->sandboxes) {
                        struct fsrv__sandbox_link *entry = link->sandboxes;
                        link->sandboxes = entry->next;
                        fsrv__link_unref(entry->link);
                        free(entry);
                }
                fsrv__fd_close(link->doorbell);
                free(link);
        }
        return NULL;
}
