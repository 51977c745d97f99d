/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/huge.h"

#include <sys/mman.h>

#include "base/clock.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Room for n bytes that begins as a huge page does; NULL. */
static void *reserve_aligned(size_t n) {
        char *room = mmap(NULL, n + FSRV_HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (room == MAP_FAILED)
                return NULL;
        size_t before = (size_t)(-(uintptr_t)room & (FSRV_HUGE_PAGE - 1));
        if (before > 0)
                munmap(room, before);
        munmap(room + before + n, FSRV_HUGE_PAGE - before);
        return room + before;
}

void *fsrv__huge_map(int memfd, size_t n, int protection) {
        size_t pages = (n + 4095) & ~(size_t)4095;
        void *room = n >= FSRV_HUGE_PAGE ? reserve_aligned(pages) : NULL;
        void *bytes = mmap(room, n, protection, MAP_SHARED | (room ? MAP_FIXED : 0), memfd, 0);

        if (bytes == MAP_FAILED && room)
                munmap(room, pages);
        return bytes == MAP_FAILED ? NULL : bytes;
}

enum { PIECE = 32, SLACK_MS = 20, EACH_MS = 1 /* as long as small pages take */ };

/* An extent without any page cannot be collapsed, so the first byte of each is written. The kernel zeroes the rest.
 * Each call waits for all processors (lru_add_drain_all() in the kernel), so it is for a large piece. Where memory is
 * fragmented it takes long to make room; small pages are better then. */
void fsrv__huge_make(void *bytes, size_t n) {
        size_t left = n / FSRV_HUGE_PAGE;
        int64_t deadline = fsrv__deadline(SLACK_MS + (int64_t)left * EACH_MS);

        for (char *at = bytes; left > 0 && fsrv__left(deadline) > 0;) {
                size_t piece = left < PIECE ? left : PIECE;
                for (size_t i = 0; i < piece; i++)
                        *(volatile char *)(at + i * FSRV_HUGE_PAGE) = 0;
                if (madvise(at, piece * FSRV_HUGE_PAGE, MADV_COLLAPSE) < 0)
                        return;
                at += piece * FSRV_HUGE_PAGE;
                left -= piece;
        }
}
