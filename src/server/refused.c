/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "server/server.h"

enum { GENERATIONS_MAX = 16 }; /* so far up the worker is looked for that a process comes from */

void fsrv__refused_listen(struct fsrv__server *s, struct fsrv__zygote *z, int listener) {
        if (z->listener >= 0)
                fsrv__unwatch(s, z->listener);
        fsrv__fd_close(z->listener);
        z->listener = listener;
        if (listener >= 0 && fsrv__watch(s, listener, EPOLLIN, FSRV_SOURCE_REFUSED, z->id) < 0)
                z->listener = fsrv__fd_close(listener); /* calls fail with ENOSYS then */
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

/* ENOENT from both calls: the thread has been killed meanwhile. */
void fsrv__refused_on_call(struct fsrv__server *s, struct fsrv__zygote *z) {
        struct seccomp_notif call = { 0 };
        struct seccomp_notif_resp answer = { .error = -EPERM };

        if (ioctl(z->listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
                return;
        struct fsrv__child *worker = find_worker(s, (pid_t)call.pid);
        if (worker && worker->refused++ == 0)
                worker->refused_call = call.data.nr;
        answer.id = call.id;
        ioctl(z->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}
