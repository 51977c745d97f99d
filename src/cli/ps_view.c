/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ps_view.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { SLACK_MS = 2000 };

static int64_t now_ms(void) {
        struct timespec now;

        clock_gettime(CLOCK_BOOTTIME, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- whose pids these are ---- */

/* Our number for the process that made the socket; 0: it is in another pid namespace; -1: we don't know. */
static pid_t find_listener(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct ucred cred = { .pid = -1 };
        socklen_t size = sizeof cred;

        if (strlen(path) >= sizeof address.sun_path)
                return -1;
        strcpy(address.sun_path, path);
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -1;
        if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
                cred.pid = -1;
        close(fd);
        return cred.pid;
}

/* Whether the process has another number in a pid namespace below ours. */
static bool is_below(pid_t pid) {
        char path[64], line[256];
        int ours, theirs;
        bool found = false;

        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        FILE *file = fopen(path, "re");
        while (file && !found && fgets(line, sizeof line, file))
                found = sscanf(line, "NSpid: %d %d", &ours, &theirs) == 2;
        if (file)
                fclose(file);
        return found;
}

/* Another process may have made the socket: systemd, or a server from which this one has taken over. So the numbers are
 * looked at, too: the server has to have its name, to be as old as it says, and to be the parent of the others. */
static bool are_ours(const struct fsrv_stats *stats, pid_t listener, const struct fsrv_listed *list, size_t n,
                     const struct ps_processes *processes) {
        const struct ps_process *server = ps_processes_find(processes, stats->server_pid);
        size_t right = 0, wrong = 0;

        if (listener == 0 || !server || strcmp(server->name, "fsrv server") != 0 ||
            server->age_ms + SLACK_MS < stats->uptime_ms || (listener > 0 && is_below(listener)))
                return false;
        for (size_t i = 0; i < n; i++) {
                const struct ps_process *process = ps_processes_find(processes, list[i].pid);
                if (!process)
                        continue;
                if (process->parent == server->pid && process->age_ms + SLACK_MS >= list[i].age_ms)
                        right++;
                else
                        wrong++;
        }
        return (right > 0 && right >= wrong) || (right == 0 && wrong == 0 && listener == server->pid);
}

/* ---- rows ---- */

static void add_member(struct ps_row *row, const struct ps_process *process, bool pss) {
        uint64_t bytes;

        row->members++;
        row->threads += process->threads;
        row->cpu_ms += process->cpu_ms;
        if (ps_memory_read(process->pid, pss, &bytes) < 0)
                return;
        row->memory += bytes;
        row->has_memory = true;
}

static int add_families(struct ps_view *view, struct ps_processes *processes, bool pss) {
        pid_t *pids = calloc(view->n + 1, sizeof *pids);

        if (!pids)
                return -ENOMEM;
        for (size_t i = 0; i < view->n; i++)
                pids[i] = view->rows[i].of.pid;
        ps_processes_own(processes, pids, view->n);
        free(pids);
        for (size_t i = 0; i < processes->n; i++) {
                const struct ps_process *process = &processes->list[i];
                if (process->owner < 0)
                        continue;
                struct ps_row *row = &view->rows[process->owner];
                add_member(row, process, pss);
                if (process->pid != row->of.pid)
                        continue;
                row->is_known = true;
                row->state = process->state;
                row->start = process->start;
                memcpy(row->name, process->name, sizeof row->name);
        }
        return 0;
}

/* Those that have ended since the server listed them. What is there, and not to be seen in /proc, stays (hidepid). */
static void drop_ended(struct ps_view *view) {
        size_t n = 0;

        for (size_t i = 0; i < view->n; i++)
                if (view->rows[i].is_known || kill(view->rows[i].of.pid, 0) == 0 || errno != ESRCH)
                        view->rows[n++] = view->rows[i];
        view->n = n;
}

/* All of them own their families: a worker isn't of the zygote's, wherever it was forked. */
static void drop_others(struct ps_view *view) {
        size_t n = 0;

        for (size_t i = 0; i < view->n; i++)
                if (view->rows[i].of.role == FSRV_PROCESS_WORKER)
                        view->rows[n++] = view->rows[i];
        view->n = n;
}

static int look_into_proc(struct ps_view *view, const struct fsrv_listed *list, bool pss) {
        struct ps_processes processes;

        if (ps_processes_read(&processes) < 0) /* there is no /proc */
                return 0;
        int r = 0;
        view->is_ours = are_ours(&view->stats, view->listener, list, view->n, &processes);
        if (view->is_ours) {
                r = add_families(view, &processes, pss);
                drop_ended(view);
        }
        ps_processes_done(&processes);
        return r;
}

/* ---- what has changed since the view before ---- */

static double per_second(uint64_t now, uint64_t before, double ms) {
        return ms > 0 && now > before ? (double)(now - before) * 1000 / ms : 0;
}

static int by_pid(const void *a, const void *b) {
        const struct ps_row *one = a, *other = b;

        return (one->of.pid > other->of.pid) - (one->of.pid < other->of.pid);
}

static void compare(struct ps_view *view, struct ps_view *before) {
        bool is_same = before->stats.server_pid == view->stats.server_pid && before->at_ms > 0;
        double ms = is_same ? (double)(view->at_ms - before->at_ms) : (double)view->stats.uptime_ms;

        view->spawns = per_second(view->stats.spawns, is_same ? before->stats.spawns : 0, ms);
        view->exits = per_second(view->stats.exits, is_same ? before->stats.exits : 0, ms);
        if (is_same && before->n > 0)
                qsort(before->rows, before->n, sizeof *before->rows, by_pid);
        for (size_t i = 0; i < view->n; i++) {
                struct ps_row *row = &view->rows[i], *old = NULL;
                if (is_same && before->n > 0)
                        old = bsearch(row, before->rows, before->n, sizeof *row, by_pid);
                if (old && (old->start != row->start || old->of.role != row->of.role))
                        old = NULL; /* another process; or what was done before its request */
                double span = old ? ms : (double)row->of.age_ms;
                row->share = per_second(row->cpu_ms, old ? old->cpu_ms : 0, span) / 10;
        }
}

/* ---- order ---- */

static int descending(double a, double b) {
        return (a < b) - (a > b);
}

static int by_age(const void *a, const void *b) {
        const struct ps_row *one = a, *other = b;
        int order = descending((double)one->of.age_ms, (double)other->of.age_ms);

        return order ? order : by_pid(a, b);
}

static int by_cpu(const void *a, const void *b) {
        const struct ps_row *one = a, *other = b;
        int order = descending((double)one->cpu_ms, (double)other->cpu_ms);

        return order ? order : by_pid(a, b);
}

static int by_cpu_share(const void *a, const void *b) {
        const struct ps_row *one = a, *other = b;
        int order = descending(one->share, other->share);

        return order ? order : by_cpu(a, b);
}

static int by_memory(const void *a, const void *b) {
        const struct ps_row *one = a, *other = b;
        int order = descending((double)one->memory, (double)other->memory);

        return order ? order : by_pid(a, b);
}

void ps_view_sort(struct ps_view *view, uint32_t order, bool by_share) {
        static int (*const functions[])(const void *a, const void *b) = {
                [PS_BY_AGE] = by_age,
                [PS_BY_CPU] = by_cpu,
                [PS_BY_MEMORY] = by_memory,
                [PS_BY_PID] = by_pid,
        };

        if (view->n > 0)
                qsort(view->rows, view->n, sizeof *view->rows,
                      order == PS_BY_CPU && by_share ? by_cpu_share : functions[order]);
}

/* ---- the whole ---- */

static int make_rows(struct ps_view *view, const struct fsrv_listed *list, size_t n) {
        view->rows = calloc(n + 1, sizeof *view->rows);
        if (!view->rows)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                view->rows[i].of = list[i];
        view->n = n;
        return 0;
}

int ps_view_take(struct fsrv_server *server, const struct ps_options *options, struct ps_view *before,
                 struct ps_view *ret_view, struct fsrv_error *error) {
        struct ps_view view = { .stats.size = sizeof view.stats };
        struct fsrv_listed *list;
        size_t n;
        int r = fsrv_server_get_stats(server, &view.stats, error);

        if (r >= 0)
                r = fsrv_server_list(server, &list, &n, error);
        if (r < 0)
                return r;
        bool is_same = before->stats.server_pid == view.stats.server_pid && before->at_ms > 0;
        view.listener = is_same ? before->listener : find_listener(options->path);
        view.at_ms = now_ms();
        r = make_rows(&view, list, n);
        if (r >= 0)
                r = look_into_proc(&view, list, options->pss);
        free(list);
        if (r < 0) {
                ps_view_done(&view);
                return cli_fail(error, FSRV_STAGE_ADMIN, -r, "the list of processes");
        }
        if (!options->all)
                drop_others(&view);
        compare(&view, before);
        ps_view_sort(&view, options->order, options->is_top);
        *ret_view = view;
        return 0;
}

void ps_view_done(struct ps_view *view) {
        free(view->rows);
        *view = (struct ps_view){ 0 };
}
