/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/linux.h"
#include "client/handle.h"
#include "wire/messages.h"

enum { LINKS_MAX = 32 }; /* the longest unused one makes room; its zygote ends, and is made anew if need be */

static void free_entry(struct fsrv__sandbox_link *entry) {
        fsrv__link_unref(entry->link);
        free(entry);
}

/* Moves it to the front. NULL: there is none. */
static struct fsrv__link *find_link(struct fsrv__link *link, const void *bytes, size_t size) {
        for (struct fsrv__sandbox_link **at = &link->sandboxes; *at; at = &(*at)->next) {
                struct fsrv__sandbox_link *entry = *at;

                if (entry->size != size || memcmp(entry->bytes, bytes, size) != 0)
                        continue;
                *at = entry->next;
                entry->next = link->sandboxes;
                link->sandboxes = entry;
                return entry->link;
        }
        return NULL;
}

static void drop_oldest(struct fsrv__link *link) {
        struct fsrv__sandbox_link **at = &link->sandboxes;
        int n = 0;

        while (*at && n++ < LINKS_MAX)
                at = &(*at)->next;
        if (!*at)
                return;
        free_entry(*at);
        *at = NULL;
}

static int send_sandbox(int doorbell, const void *bytes, size_t size, int answer, int receiving_end) {
        const struct fsrv__wire_admin message = { .version = FSRV_WIRE_VERSION, .type = FSRV_WIRE_SANDBOX };
        FSRV_CLEANUP_FD int body = fsrv__sealed_memfd("forkserver sandbox", bytes, size);
        int slots[FSRV_SLOTS] = FSRV_NO_FDS, fds[FSRV_SLOTS];

        if (body < 0)
                return body;
        slots[FSRV_SLOT_ANSWER] = answer;
        slots[FSRV_SLOT_DOORBELL] = receiving_end;
        slots[FSRV_SLOT_BODY] = body;
        size_t n = fsrv__message_pack(FSRV_TABLE_DOORBELL, &message, slots, NULL, fds);
        return fsrv__channel_send(doorbell, &message, sizeof message, fds, n, MSG_DONTWAIT);
}

/* The kernel stamps the sender on a message only where this is set by then, and requests follow at once. */
static int make_doorbell(int pair[2]) {
        int on = 1, r = fsrv__socketpair(pair);

        if (r < 0 || setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0)
                return r;
        r = -errno;
        fsrv__fds_close(pair, 2);
        return r;
}

static int add_link(struct fsrv__link *link, const void *bytes, size_t size, int answer) {
        struct fsrv__sandbox_link *entry = malloc(sizeof *entry + size);
        int pair[2], r = entry ? make_doorbell(pair) : -ENOMEM;

        if (r == 0) {
                r = send_sandbox(link->doorbell, bytes, size, answer, pair[0]);
                fsrv__fd_close(pair[0]);
                entry->link = r < 0 ? NULL : fsrv__link_new(pair[1]);
                if (r < 0)
                        fsrv__fd_close(pair[1]);
                else if (!entry->link)
                        r = -ENOMEM;
        }
        if (r < 0) {
                free(entry);
                return r;
        }
        entry->size = size;
        memcpy(entry->bytes, bytes, size);
        entry->next = link->sandboxes;
        link->sandboxes = entry;
        drop_oldest(link);
        return 0;
}

int fsrv__sandbox_link_get(struct fsrv_server *server, struct fsrv__link *link, const void *bytes, size_t size,
                           int answer, struct fsrv__link **ret_link) {
        int r = 0;

        pthread_mutex_lock(&server->lock);
        if (!find_link(link, bytes, size))
                r = add_link(link, bytes, size, answer);
        if (r == 0) {
                *ret_link = link->sandboxes->link;
                atomic_fetch_add(&(*ret_link)->references, 1);
        }
        pthread_mutex_unlock(&server->lock);
        return r;
}

void fsrv__sandbox_link_forget(struct fsrv_server *server, struct fsrv__link *link, const struct fsrv__link *gone) {
        pthread_mutex_lock(&server->lock);
        for (struct fsrv__sandbox_link **at = &link->sandboxes; *at; at = &(*at)->next)
                if ((*at)->link == gone) {
                        struct fsrv__sandbox_link *entry = *at;
                        *at = entry->next;
                        free_entry(entry);
                        break;
                }
        pthread_mutex_unlock(&server->lock);
}
