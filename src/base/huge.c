/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/huge.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

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
        int sharing = protection & PROT_WRITE ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE;
        size_t pages = (n + 4095) & ~(size_t)4095;
        void *room = n >= FSRV_HUGE_PAGE ? reserve_aligned(pages) : NULL;
        void *bytes = mmap(room, n, protection, sharing | (room ? MAP_FIXED : 0), memfd, 0);

        if (bytes == MAP_FAILED && room)
                munmap(room, pages);
        return bytes == MAP_FAILED ? NULL : bytes;
}

enum { PIECE = 32, SLACK_MS = 20, EACH_MS = 1 /* as long as small pages take */ };

/* An extent without any page cannot be collapsed, so the first byte of each is written: by a call, which fails where
 * there is no memory. The kernel zeroes the rest. It also maps what it collapses, which would be the caller's memory
 * for that long. */
static int collapse_piece(int memfd, char *bytes, size_t from, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (pwrite(memfd, "", 1, (off_t)((from + i) * FSRV_HUGE_PAGE)) != 1)
                        return -errno;
        int r = madvise(bytes + from * FSRV_HUGE_PAGE, n * FSRV_HUGE_PAGE, MADV_COLLAPSE) < 0 ? -errno : 0;
        madvise(bytes + from * FSRV_HUGE_PAGE, n * FSRV_HUGE_PAGE, MADV_DONTNEED); /* they are the file's alone */
        return r;
}

/* Each call waits for all processors (lru_add_drain_all() in the kernel), so it is for a large piece. Where memory is
 * fragmented it takes long to make room; small pages are better then. */
static void make_pages(int memfd, char *bytes, size_t n) {
        int64_t deadline = fsrv__deadline(SLACK_MS + (int64_t)n * EACH_MS);

        for (size_t done = 0, piece; done < n && fsrv__left(deadline) > 0; done += piece) {
                piece = n - done < PIECE ? n - done : PIECE;
                if (collapse_piece(memfd, bytes, done, piece) < 0)
                        return;
        }
}

int fsrv__huge_set_size(int memfd, size_t n) {
        if (ftruncate(memfd, (off_t)n) < 0)
                return -errno;
        size_t whole = n / FSRV_HUGE_PAGE * FSRV_HUGE_PAGE;
        void *bytes = whole > 0 ? fsrv__huge_map(memfd, whole, PROT_READ | PROT_WRITE) : NULL;
        if (bytes) {
                make_pages(memfd, bytes, n / FSRV_HUGE_PAGE);
                munmap(bytes, whole);
        }
        return 0;
}
