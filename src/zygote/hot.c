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
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/fd.h"
#include "zygote/fork.h"
#include "zygote/hook.h"
#include "zygote/mappings.h"
#include "zygote/patience.h"

enum {
        RUNS_MAX = 8192,
        REHEARSAL_LIMIT_MS = 10000,
};

static struct fsrv_run *hot;
static size_t n_hot;

/* What the rehearsal has found. It lies in memory that is shared with the rehearsal's process alone: workers are to
 * have no writable memory in common. */
struct found {
        size_t n;
        struct fsrv_run runs[RUNS_MAX];
};

/* ---- in the rehearsal: which pages are its own by now? ---- */

static void find_own_pages(const struct fsrv__list *mappings, struct found *found) {
        FSRV_CLEANUP_FD int pagemap = fsrv__open("/proc/self/pagemap", O_RDONLY);
        const struct fsrv__mapping *mapping = mappings->items;
        struct fsrv__list runs = { 0 };

        if (pagemap < 0)
                return;
        for (size_t i = 0; i < mappings->n; i++)
                if (mapping[i].is_private && mapping[i].is_writable && mapping[i].anonymous > 0 &&
                    fsrv__pages_find_own(pagemap, mapping[i].start, mapping[i].end, &runs) < 0)
                        return;
        const struct fsrv_run *run = runs.items;
        for (size_t i = 0; i < runs.n && i < RUNS_MAX; i++)
                found->runs[found->n++] = run[i];
}

static _Noreturn void rehearse_and_scan(const struct fsrv_host *host, const struct fsrv__list *mappings,
                                        struct found *found) {
        int null = fsrv__open("/dev/null", O_RDWR);

        for (int fd = 0; null >= 0 && fd < 3; fd++)
                dup2(null, fd); /* what handlers and finalizers print is not to be seen */
        fsrv__hook_run(host->after_fork_child);
        host->rehearse();
        find_own_pages(mappings, found);
        _exit(0);
}

/* ---- in the zygote ---- */

static void keep_runs(const struct found *found) {
        hot = malloc(found->n * sizeof *hot + 1);
        if (!hot)
                return;
        memcpy(hot, found->runs, found->n * sizeof *hot);
        n_hot = found->n;
}

/* The mappings are those from before the fork: what the rehearsal maps itself is in no standby. */
static void run_rehearsal(const struct fsrv_host *host, const struct fsrv__list *mappings, struct found *found) {
        int64_t patience = fsrv__patience_left();
        int status;

        fsrv__hook_run(host->before_fork);
        pid_t pid = fsrv__fork_helper();
        if (pid == 0)
                rehearse_and_scan(host, mappings, found);
        fsrv__hook_run(host->after_fork_zygote);
        if (pid > 0 &&
            fsrv__fork_await(pid, patience < REHEARSAL_LIMIT_MS ? patience : REHEARSAL_LIMIT_MS, &status) == 0 &&
            WIFEXITED(status) && WEXITSTATUS(status) == 0)
                keep_runs(found);
}

void fsrv__hot_rehearse(const struct fsrv_host *host) {
        struct fsrv__list mappings = { 0 };
        struct found *found;

        if (!host->rehearse)
                return;
        found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (found == MAP_FAILED)
                return;
        if (fsrv__mappings_read(&mappings) == 0)
                run_rehearsal(host, &mappings, found);
        fsrv__list_done(&mappings);
        munmap(found, sizeof *found);
}

/* ---- in a standby ---- */

/* Pages that a fork handler has unmapped meanwhile, or protected, are left out. */
#if defined(__x86_64__)

/* A write that changes nothing, by one fault where a read and a write would be two. Not MADV_POPULATE_WRITE (2.3 us for
 * one page, 1.2 for each of many; a fault takes 1.4): most runs are of one or two pages. */
void fsrv__hot_touch(uintptr_t at) __attribute__((visibility("hidden")));
extern const char fsrv__hot_touched[] __attribute__((visibility("hidden")));
__asm__(".text\n"
        ".type fsrv__hot_touch, @function\n"
        "fsrv__hot_touch:\n"
        "        lock orb $0, (%rdi)\n"
        "fsrv__hot_touched:\n"
        "        ret\n"
        ".hidden fsrv__hot_touch\n"
        ".hidden fsrv__hot_touched\n"
        ".global fsrv__hot_touch\n"
        ".global fsrv__hot_touched\n"
        ".previous\n");

/* No siglongjmp(3): only the way back through the kernel restores the floating-point modes. */
static void on_fault(int signal, siginfo_t *info, void *context) {
        (void)signal;
        if (info->si_code > 0) /* else a process has sent it */
                ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] = (greg_t)fsrv__hot_touched;
}

static void touch_all(void) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);

        for (size_t i = 0; i < n_hot; i++)
                for (uintptr_t at = hot[i].start; at < hot[i].end; at += page)
                        fsrv__hot_touch(at);
}

void fsrv__hot_copy(void) {
        struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO }, segv, bus;
        sigset_t faults, mask;

        if (n_hot == 0)
                return;
        sigemptyset(&faults);
        sigaddset(&faults, SIGSEGV);
        sigaddset(&faults, SIGBUS);
        sigaction(SIGSEGV, &action, &segv);
        sigaction(SIGBUS, &action, &bus);
        sigprocmask(SIG_UNBLOCK, &faults, &mask);
        touch_all();
        sigprocmask(SIG_SETMASK, &mask, NULL);
        sigaction(SIGSEGV, &segv, NULL);
        sigaction(SIGBUS, &bus, NULL);
}

#else

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

void fsrv__hot_copy(void) {
        for (size_t i = 0; i < n_hot; i++)
                if (madvise((void *)hot[i].start, hot[i].end - hot[i].start, MADV_POPULATE_WRITE) < 0 &&
                    errno == EINVAL)
                        return; /* before Linux 5.14 */
}

#endif
