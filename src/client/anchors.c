/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/linux.h"
#include "client/handle.h"

/* An anchor ends after its server. By then the handle may have had another server for long. */
struct anchor {
        struct anchor *next;
        pid_t pid;
        pid_t parent; /* a forked copy of the parent has no such child */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct anchor *anchors;

void fsrv__anchors_lock(void) {
        pthread_mutex_lock(&lock);
}

void fsrv__anchors_unlock(void) {
        pthread_mutex_unlock(&lock);
}

void fsrv__anchors_add(pid_t pid) {
        struct anchor *anchor = malloc(sizeof *anchor);

        if (!anchor)
                return; /* without memory it stays a zombie after its end, until ours */
        fsrv__anchors_lock();
        *anchor = (struct anchor){ anchors, pid, getpid() };
        anchors = anchor;
        fsrv__anchors_unlock();
}

/* The pid is the anchor's until we reap it. */
static bool await_end(pid_t pid, int64_t deadline) {
        FSRV_CLEANUP_FD int pidfd = fsrv__pidfd_open(pid);
        struct pollfd entry = { .fd = pidfd, .events = POLLIN };

        return pidfd < 0 || fsrv__poll(&entry, deadline, NULL) != 0;
}

bool fsrv__anchors_reap(pid_t pid, int64_t deadline) {
        bool has_ended = pid == 0 || await_end(pid, deadline);

        fsrv__anchors_lock();
        for (struct anchor **link = &anchors; *link;) {
                struct anchor *anchor = *link;
                bool is_ours = anchor->parent == getpid();

                if (is_ours && waitpid(anchor->pid, NULL, WNOHANG | __WCLONE) == 0) {
                        link = &anchor->next;
                        continue;
                }
                *link = anchor->next;
                free(anchor);
        }
        fsrv__anchors_unlock();
        return has_ended;
}
