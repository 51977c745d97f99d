/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/collapse.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

#define HUGE_PAGE FSRV_HUGE_PAGE

enum { TRIES = 3, LIMIT_MS = 10000 };

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

int64_t fsrv__collapse_deadline(void) {
        return fsrv__deadline(LIMIT_MS);
}

/* 0 or -errno. EAGAIN: the kernel itself, khugepaged say, holds one of the pages just now, and "the user may try again
 * immediately" (Linux 0f3e2a2c4243). */
static int collapse_page(void *at) {
        int r = -EAGAIN;

        for (int tries = 0; r == -EAGAIN && tries < TRIES; tries++)
                r = madvise(at, HUGE_PAGE, MADV_COLLAPSE) < 0 ? -errno : 0;
        return r;
}

/* The kernel does so only in a mapping that is shared and writable. */
bool fsrv__collapse_at(int memfd, uint64_t offset) {
        char *reserved = mmap(NULL, 2 * HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        void *at = (void *)fsrv__round_up((uintptr_t)reserved, HUGE_PAGE);

        if (reserved == MAP_FAILED)
                return false;
        bool done = mmap(at, HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memfd, (off_t)offset) !=
                            MAP_FAILED &&
                    collapse_page(at) == 0;
        munmap(reserved, 2 * HUGE_PAGE);
        return done;
}

bool fsrv__collapse_works_on(int memfd) {
        bool works = pwrite(memfd, "", 1, (off_t)HUGE_PAGE - 1) == 1 && fsrv__collapse_at(memfd, 0);

        return ftruncate(memfd, 0) == 0 && works;
}

/* Whether to make a huge page here. The zero page takes no memory, but a huge page of zeros does. So in a mapping that
 * has the zero page somewhere no huge page is made of zeros. */
static bool is_worth_it(const struct fsrv__mapping *mapping, uintptr_t at) {
        return mapping->found <= mapping->anonymous || !fsrv__pieces_are_zero(at, HUGE_PAGE);
}

/* 0 or -errno, as fsrv__collapse(). */
static int collapse_piece(const struct fsrv_run *piece, struct fsrv__mapping *mapping, int64_t deadline) {
        int result = 0;

        for (uint64_t at = fsrv__round_up(piece->start, HUGE_PAGE); at + HUGE_PAGE <= piece->end; at += HUGE_PAGE) {
                if (fsrv__now() >= deadline)
                        return -ETIME;
                if (!is_worth_it(mapping, at))
                        continue;
                int r = collapse_page((void *)(uintptr_t)at);
                if (r < 0)
                        result = r;
                else
                        mapping->collapsed += HUGE_PAGE;
        }
        return result;
}

int fsrv__collapse(struct fsrv__pieces *pieces, uint64_t *collapsed) {
        const struct fsrv_run *piece = pieces->runs.items;
        int64_t deadline = fsrv__collapse_deadline();
        int result = 0;

        for (size_t i = 0; i < pieces->runs.n; i++) {
                struct fsrv__mapping *mapping = fsrv__pieces_mapping_at(pieces, piece[i].start);
                uint64_t before = mapping->collapsed;
                if (mapping->no_huge) {
                        mapping->why = "advised of no huge pages";
                        continue;
                }
                mapping->why = "only whole huge pages can be collapsed";
                int r = collapse_piece(&piece[i], mapping, deadline);
                if (r < 0)
                        result = r;
                *collapsed += mapping->collapsed - before;
        }
        return result;
}
