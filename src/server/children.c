/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "server/server.h"

struct fsrv__child *fsrv__child_find(const struct fsrv__server *s, pid_t pid) {
        struct fsrv__child *child;

        HASH_FIND_INT(s->children, &pid, child);
        return child;
}

enum { FDS_OF_LOCKED = 8 }; /* of a zygote in a sandbox: sockets, a pidfd, a memfd, a listener */

/* Each has a pidfd. Those that are still to claim may come with a socket to the client, and with one for the status; a
 * standby's claim may follow those of processes that borrowed its memory. */
bool fsrv__child_fits(const struct fsrv__server *s) {
        unsigned alive = HASH_COUNT(s->children), loans = 3 * s->config.head.loans, idle = 0, due = 0, zygotes = 0;

        for (const struct fsrv__zygote *z = s->zygotes; z; z = z->next) {
                idle += z->idle;
                due += z->due;
                zygotes += z != s->zygotes; /* as many as one in a sandbox, the next first one too */
        }
        unsigned now = FDS_OF_LOCKED * zygotes + alive + s->ended + s->answers + s->statuses + s->n_owed;
        return now + (2 + loans) * idle + (3 + loans) * (due + 1) <= s->room || alive + due == 0;
}

/* It has claimed, or ends by itself. If the stop has not come to it yet, it never will. */
static void go_on(struct fsrv__server *s, struct fsrv__child *child) {
        child->retires = child->is_stopped = false;
        child->goes_on = true;
        s->retiring--;
        fsrv__pidfd_send_signal(child->pidfd, SIGCONT);
}

void fsrv__child_become(struct fsrv__server *s, struct fsrv__child *child, enum fsrv__role role) {
        if (child->role == FSRV_ROLE_STANDBY)
                child->zygote->idle--;
        if (child->retires)
                go_on(s, child);
        child->role = role;
        if (role != FSRV_ROLE_STANDBY)
                return;
        child->zygote->idle++;
        child->since = fsrv__now();
        if (s->next_look == 0)
                s->next_look = child->since + fsrv__fork_limit(s);
}

/* A child is found by its pid, which stays its own until we reap it. A dead child has a pidfd too. But a zygote may
 * tell so late of one that it has been reaped, as it was faster with its claim; the pid may be a stranger's by then.
 * (One that forks twice tells of a child before it is ours: we read that before we reap.) */
struct fsrv__child *fsrv__child_add(struct fsrv__server *s, struct fsrv__zygote *z, pid_t pid, enum fsrv__role role) {
        struct fsrv__child *child = calloc(1, sizeof *child);

        if (!child)
                return NULL;
        child->pid = pid;
        child->zygote = z;
        child->role = FSRV_ROLE_STRAY;
        child->answer = child->status = -1;
        child->deadline = FSRV_NEVER;
        child->pidfd = fsrv__pidfd_open(pid);
        if (child->pidfd < 0 || (!s->is_reaper && !fsrv__is_child(child->pidfd)) ||
            fsrv__watch(s, child->pidfd, EPOLLIN, FSRV_SOURCE_DEATH, (uint32_t)pid) < 0) {
                fsrv__fd_close(child->pidfd);
                free(child);
                return NULL;
        }
        HASH_ADD_INT(s->children, pid, child);
        fsrv__child_become(s, child, role);
        return child;
}

/* Its claim may have been faster, or a look through the children, which takes it for another zygote's. */
void fsrv__child_on_forked(struct fsrv__server *s, struct fsrv__zygote *z, pid_t pid, enum fsrv__role role) {
        struct fsrv__child *child = fsrv__child_find(s, pid);

        if (!child) {
                fsrv__child_add(s, z, pid, role);
        } else if (child->role == FSRV_ROLE_STRAY || (child->role == FSRV_ROLE_STANDBY && child->zygote != z)) {
                fsrv__child_become(s, child, FSRV_ROLE_STRAY);
                child->zygote = z;
                fsrv__child_become(s, child, role);
        }
}

void fsrv__child_forget(struct fsrv__server *s, struct fsrv__child *child) {
        fsrv__child_become(s, child, FSRV_ROLE_STRAY); /* it is counted no more */
        fsrv__answer_end(s, child);
        fsrv__family_unlimit(s, child);
        fsrv__fd_close(child->pidfd);
        HASH_DEL(s->children, child);
        free(child);
}

int fsrv__child_release(struct fsrv__server *s, pid_t pid) {
        struct fsrv__child *child = fsrv__child_find(s, pid);

        if (!child)
                return -1;
        int pidfd = fsrv__fd_steal(&child->pidfd);
        fsrv__unwatch(s, pidfd);
        fsrv__child_forget(s, child);
        return pidfd;
}

static bool is_zygote(const struct fsrv__server *s, pid_t pid) {
        for (const struct fsrv__zygote *z = s->zygotes; z; z = z->next)
                if (z->pid == pid)
                        return true;
        return false;
}

void fsrv__children_find(struct fsrv__server *s, struct fsrv__zygote *z, enum fsrv__role role) {
        char path[64];
        int pid;

        snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
        FILE *list = fopen(path, "re");
        if (!list)
                return; /* without CONFIG_PROC_CHILDREN such a child is met when it claims */
        while (fscanf(list, "%d", &pid) == 1)
                if (!is_zygote(s, pid) && !fsrv__child_find(s, pid))
                        fsrv__child_add(s, z, pid, role);
        fclose(list);
}

void fsrv__children_kill(struct fsrv__server *s) {
        struct fsrv__child *child, *next;

        HASH_ITER(hh, s->children, child, next)
                fsrv__child_kill(child);
        fsrv__families_kill(s);
}
