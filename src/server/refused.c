/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "server/server.h"

enum { GENERATIONS_MAX = 16 }; /* so far up the worker is looked for that a process comes from */

/* Where there is no memory for it, refused calls fail with ENOSYS. */
void fsrv__refused_listen(struct fsrv__server *s, int listener, bool kills) {
        struct fsrv__filter *filter = malloc(sizeof *filter);

        if (!filter || fsrv__watch(s, listener, EPOLLIN, FSRV_SOURCE_REFUSED, (uint32_t)listener) < 0) {
                free(filter);
                fsrv__fd_close(listener);
                return;
        }
        *filter = (struct fsrv__filter){ .listener = listener, .kills = kills, .next = s->filters };
        s->filters = filter;
}

/* A thread's process, and that one's parent. */
static bool read_ids(pid_t pid, pid_t *ret_process, pid_t *ret_parent) {
        char path[64], line[256];
        int found = 0;

        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        FILE *file = fopen(path, "re");
        if (!file)
                return false;
        while (found < 2 && fgets(line, sizeof line, file))
                found += sscanf(line, "Tgid: %d", ret_process) == 1 || sscanf(line, "PPid: %d", ret_parent) == 1;
        fclose(file);
        return found == 2;
}

/* The worker that this thread is of, or comes from; NULL. */
static struct fsrv__child *find_worker(const struct fsrv__server *s, pid_t pid) {
        struct fsrv__child *child = fsrv__child_find(s, pid);
        pid_t process, parent = pid;

        for (int i = 0; !child && i < GENERATIONS_MAX && parent > 1 && read_ids(parent, &process, &parent); i++)
                child = fsrv__child_find(s, process);
        return child && child->role == FSRV_ROLE_WORKER ? child : NULL;
}

/* The worker that it comes from may have ended. While the call still waits, the pid is of the process that made it. */
static void kill_caller(int listener, const struct seccomp_notif *call) {
        pid_t process, parent;

        if (!read_ids((pid_t)call->pid, &process, &parent))
                return;
        FSRV_CLEANUP_FD int pidfd = fsrv__pidfd_open(process);
        if (pidfd >= 0 && ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call->id) == 0)
                fsrv__pidfd_send_signal(pidfd, SIGKILL);
}

/* ENOENT from both calls: the thread has been killed meanwhile. */
static void refuse_call(struct fsrv__server *s, const struct fsrv__filter *filter) {
        int listener = filter->listener;
        struct seccomp_notif call = { 0 };
        struct seccomp_notif_resp answer = { .error = -EPERM };

        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
                return;
        struct fsrv__child *worker = find_worker(s, (pid_t)call.pid);
        s->counts.refused++;
        if (worker && worker->refused++ == 0)
                worker->refused_call = call.data.nr;
        if (filter->kills)
                kill_caller(listener, &call);
        if (worker && filter->kills) {
                worker->was_refused = true;
                fsrv__child_kill(worker);
        }
        answer.id = call.id;
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

/* The hang-up: no process has the filter any more. It outlives its zygote. */
void fsrv__refused_on_event(struct fsrv__server *s, uint32_t fd, uint32_t events) {
        struct fsrv__filter **link = &s->filters;

        while (*link && (*link)->listener != (int)fd)
                link = &(*link)->next;
        if (!*link)
                return;
        if (events & EPOLLIN) {
                refuse_call(s, *link);
                return;
        }
        struct fsrv__filter *filter = *link;
        *link = filter->next;
        fsrv__unwatch(s, filter->listener);
        fsrv__fd_close(filter->listener);
        free(filter);
}
