/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/hot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "zygote/mappings.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
        RUNS_MAX = 8192,
        REHEARSAL_LIMIT_S = 10,
};

static struct fsrv_run *hot;
static size_t n_hot;

/* Shared with the rehearsal's process alone, which fills it: workers are to have no writable memory in common. */
struct found {
        size_t n;
        struct fsrv_run runs[RUNS_MAX];
};

/* ---- in the rehearsal: which pages are its own by now? ---- */

static void scan(struct found *found) {
        FSRV_CLEANUP_FD int pagemap = fsrv_open("/proc/self/pagemap", O_RDONLY);
        struct fsrv_list mappings = { 0 }, runs = { 0 };

        if (pagemap < 0 || fsrv_mappings_read(&mappings) < 0)
                return;
        const struct fsrv_mapping *mapping = mappings.items;
        for (size_t i = 0; i < mappings.n; i++)
                if (mapping[i].is_private && mapping[i].is_writable && mapping[i].anonymous > 0 &&
                    fsrv_pages_find_own(pagemap, mapping[i].start, mapping[i].end, &runs) < 0)
                        return;
        const struct fsrv_run *run = runs.items;
        for (size_t i = 0; i < runs.n && i < RUNS_MAX; i++)
                found->runs[found->n++] = run[i];
}

static _Noreturn void rehearse_and_scan(const struct fsrv_host *host, struct found *found) {
        struct itimerval limit = { .it_value.tv_sec = REHEARSAL_LIMIT_S };
        sigset_t alarm;
        int null = fsrv_open("/dev/null", O_RDWR);

        for (int fd = 0; null >= 0 && fd < 3; fd++)
                dup2(null, fd); /* nobody is to hear what handlers and finalizers say */
        signal(SIGALRM, SIG_DFL);
        sigemptyset(&alarm);
        sigaddset(&alarm, SIGALRM);
        sigprocmask(SIG_UNBLOCK, &alarm, NULL);
        setitimer(ITIMER_REAL, &limit, NULL);
        if (host->after_fork_child)
                host->after_fork_child();
        host->rehearse();
        scan(found);
        _exit(0);
}

/* ---- in the zygote ---- */

static void keep(const struct found *found) {
        hot = malloc(found->n * sizeof *hot + 1);
        if (!hot)
                return;
        memcpy(hot, found->runs, found->n * sizeof *hot);
        n_hot = found->n;
}

void fsrv_hot_rehearse(const struct fsrv_host *host) {
        struct found *found = !host->rehearse ? MAP_FAILED
                                              : mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        int status;

        if (found == MAP_FAILED)
                return;
        if (host->before_fork)
                host->before_fork();
        pid_t pid = fork();
        if (pid == 0)
                rehearse_and_scan(host, found);
        if (host->after_fork_zygote)
                host->after_fork_zygote();
        while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
                keep(found);
        munmap(found, sizeof *found);
}

/* ---- in a standby ---- */

void fsrv_hot_populate(void) {
        /* What the rehearsal mapped itself isn't there: no harm. */
        for (size_t i = 0; i < n_hot; i++)
                if (madvise((void *)hot[i].start, hot[i].end - hot[i].start, MADV_POPULATE_WRITE) < 0 && errno == EINVAL)
                        return; /* an older kernel */
}
