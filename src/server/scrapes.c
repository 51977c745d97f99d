/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "server/server.h"

/* Connections to the metrics socket. Each asks once, by HTTP, gets all that there is as far as it fits into the socket,
 * and leaves. What it asks is not looked at: there is one page. */

enum { SCRAPES_MAX = 32, SCRAPE_MS = 5000 };

/* The path that the socket is bound to. False: it is bound to a port. */
static bool find_path(int listener, struct sockaddr_un *ret_address) {
        socklen_t size = sizeof *ret_address;

        memset(ret_address, 0, sizeof *ret_address);
        return getsockname(listener, (struct sockaddr *)ret_address, &size) == 0 &&
               ret_address->sun_family == AF_UNIX && ret_address->sun_path[0];
}

/* It comes bound to its path with our pid behind it, so that another server's stays until this one serves. */
static int take_path(struct fsrv__server *s, const char *bound) {
        char path[sizeof((struct sockaddr_un *)0)->sun_path];
        struct stat st;

        strcpy(path, bound);
        *strrchr(path, '.') = 0;
        if (lstat(bound, &st) < 0 || rename(bound, path) < 0)
                return -errno;
        s->metrics_path = strdup(path);
        s->metrics_device = st.st_dev;
        s->metrics_inode = st.st_ino;
        return 0;
}

int fsrv__scrapes_listen(struct fsrv__server *s) {
        struct sockaddr_un address;

        if (s->metrics < 0)
                return 0;
        if (listen(s->metrics, SOMAXCONN) < 0)
                return -errno;
        int r = find_path(s->metrics, &address) ? take_path(s, address.sun_path) : 0;
        return r < 0 ? r : fsrv__watch(s, s->metrics, EPOLLIN, FSRV_SOURCE_METRICS, 0);
}

/* A path that is another server's by now stays. */
void fsrv__scrapes_unlisten(struct fsrv__server *s) {
        struct sockaddr_un address;
        struct stat st;

        if (s->metrics < 0)
                return;
        if (s->metrics_path && lstat(s->metrics_path, &st) == 0 && st.st_dev == s->metrics_device &&
            st.st_ino == s->metrics_inode)
                unlink(s->metrics_path);
        else if (!s->metrics_path && find_path(s->metrics, &address))
                unlink(address.sun_path);
        free(s->metrics_path);
        s->metrics_path = NULL;
        fsrv__unwatch(s, s->metrics);
        s->metrics = fsrv__fd_close(s->metrics);
}

static void close_scrape(struct fsrv__server *s, struct fsrv__scrape **link) {
        struct fsrv__scrape *scrape = *link;

        *link = scrape->next;
        fsrv__fd_close(scrape->fd);
        free(scrape);
        s->n_scrapes--;
}

/* The oldest makes room: it is the last of the list. */
static void close_oldest(struct fsrv__server *s) {
        struct fsrv__scrape **link = &s->scrapes;

        while (*link && (*link)->next)
                link = &(*link)->next;
        if (*link)
                close_scrape(s, link);
}

static void add_scrape(struct fsrv__server *s, int fd) {
        struct fsrv__scrape *scrape = malloc(sizeof *scrape);

        if (s->n_scrapes >= SCRAPES_MAX)
                close_oldest(s);
        if (!scrape || fsrv__watch(s, fd, EPOLLIN, FSRV_SOURCE_SCRAPE, (uint32_t)fd) < 0) {
                free(scrape);
                fsrv__fd_close(fd);
                return;
        }
        *scrape = (struct fsrv__scrape){ .fd = fd, .deadline = fsrv__deadline(SCRAPE_MS), .next = s->scrapes };
        s->scrapes = scrape;
        s->n_scrapes++;
}

void fsrv__scrapes_on_connect(struct fsrv__server *s) {
        for (int i = 0; i < FSRV_ACCEPTS_MAX; i++) {
                int fd = accept4(s->metrics, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd < 0)
                        return;
                add_scrape(s, fd);
        }
}

static void answer(struct fsrv__server *s, struct fsrv__scrape *scrape) {
        struct fsrv__wire_stats stats;
        char head[256];
        size_t size;

        scrape->is_answered = true;
        fsrv__stats_fill(s, &stats);
        char *text = fsrv__metrics_write(s, &stats, &size);
        if (!text)
                return;
        int n = snprintf(head, sizeof head,
                         "HTTP/1.0 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; "
                         "charset=utf-8\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                         size);
        struct iovec parts[] = { { head, (size_t)n }, { text, size } };
        const struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
        (void)!sendmsg(scrape->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        shutdown(scrape->fd, SHUT_WR);
        free(text);
}

/* The first part of the question is answered, and the rest is read: a connection that is closed with unread bytes may
 * be reset before its answer has been read. */
void fsrv__scrapes_on_message(struct fsrv__server *s, uint32_t fd) {
        struct fsrv__scrape **link = &s->scrapes;
        char bytes[4096];

        while (*link && (*link)->fd != (int)fd)
                link = &(*link)->next;
        if (!*link)
                return;
        ssize_t n = recv((int)fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0)
                close_scrape(s, link);
        else if (!(*link)->is_answered)
                answer(s, *link);
}

void fsrv__scrapes_on_time(struct fsrv__server *s, int64_t now) {
        for (struct fsrv__scrape **link = &s->scrapes; *link;)
                if ((*link)->deadline <= now)
                        close_scrape(s, link);
                else
                        link = &(*link)->next;
}
