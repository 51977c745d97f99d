/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/freeze.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "zygote/collapse.h"
#include "zygote/redirect.h"

/*
 * fork(2) copies the page tables of private memory, so its cost grows with what is loaded. Of a file's private mapping
 * that was not written to, it copies nothing: the pages can be had from the file again. So the contents of private
 * memory go to a memfd, which is sealed, and are mapped back in their places. Children fault them in from the page
 * cache and copy on write, as ever.
 *
 * What makes such memory different from anonymous memory, and what is done about it:
 * - A hole of the memfd becomes a page of it for ever when it is read. So only runs of pages that are there are frozen.
 * - The zero page lies where a hole was read, and not every kernel tells it from other pages. So the contents decide:
 *   zeros are given back to the kernel.
 * - mremap(2) that grows maps what follows in the memfd. Over two kinds of mappings it fails with EFAULT, and
 * realloc(3) copies. So the last page of each mapping stays anonymous, and that of each of malloc's chunks that are
 * mappings.
 * - Once a mapping has been written to, fork(2) copies all of its page tables that reading has filled in since. So
 *   mappings have 64 MiB at most, with gaps in the file, or the kernel would merge them. Huge pages have no page
 * tables, and each mapping costs a fork something itself: of huge pages they have 256 MiB at most.
 * - madvise(MADV_DONTNEED) brings the frozen bytes back, not zeros. So memory is frozen only beside an allocator that
 *   never asks for zeros that way.
 */

#define HUGE_PAGE FSRV_HUGE_PAGE

static const uint64_t LARGEST = UINT64_C(64) << 20;
static const uint64_t LARGEST_OF_HUGE_PAGES = UINT64_C(256) << 20;
static const uint64_t MOST_OF_HUGE_PAGE = UINT64_C(3) << 19;

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

struct work {
        struct fsrv__pieces *pieces;
        uint64_t *frozen;  /* bytes */
        const char *doing; /* what failed, if something has */
};

struct place {
        uintptr_t start;
        uint64_t size, offset;
        int protection;
};

static int copy_to(int memfd, uintptr_t start, uint64_t size, uint64_t offset) {
        for (uint64_t done = 0; done < size;) {
                ssize_t n = pwrite(memfd, (const void *)(start + done), size - done, (off_t)(offset + done));
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                done += (uint64_t)n;
        }
        return 0;
}

/*
 * This runs while the memory under it is replaced: libc's and our own static data, the heap. Between the copy and the
 * mapping nothing may be written but the stack, which is neither. (The thread's own block may be: errno is written by
 * calls that fail, after which nothing is mapped; and the kernel notes the CPU there, again and again.)
 *
 * Little by little: there may be no room for all of it twice, and a process that passes the limit of its control group
 * is killed. The kernel makes one mapping of what follows one another in the file.
 */
static int move_place(struct work *work, int memfd, const struct place *place) {
        for (uint64_t done = 0, size; done < place->size; done += size) {
                uintptr_t start = place->start + done;
                size = HUGE_PAGE - start % HUGE_PAGE; /* of a huge page, all or nothing can be given back */
                if (size > place->size - done)
                        size = place->size - done;
                work->doing = "writing to the memfd";
                int r = copy_to(memfd, start, size, place->offset + done);
                if (r < 0)
                        return r;
                work->doing = "mapping the memfd";
                if (mmap((void *)start, size, place->protection, MAP_PRIVATE | MAP_FIXED, memfd,
                         (off_t)(place->offset + done)) == MAP_FAILED)
                        return -errno;
                fsrv__pieces_mapping_at(work->pieces, start)->frozen += size;
                *work->frozen += size;
        }
        return 0;
}

/* A place that has a whole huge page lies in the file as it does in memory, seen from a huge page's start, so that the
 * file's can be mapped as one. */
static uint64_t next_offset(uint64_t end, uintptr_t start, uint64_t size, uint64_t page) {
        if (fsrv__round_up(start, HUGE_PAGE) + HUGE_PAGE > start + size)
                return end + page;
        uint64_t offset = fsrv__round_up(end + page, HUGE_PAGE) + start % HUGE_PAGE;

        return offset - HUGE_PAGE > end ? offset - HUGE_PAGE : offset;
}

static int split_pieces(const struct work *work, uint64_t largest, struct fsrv__list *places, uint64_t *ret_end) {
        const struct fsrv_run *piece = work->pieces->runs.items;

        for (size_t i = 0; i < work->pieces->runs.n; i++)
                for (uintptr_t at = piece[i].start; at < piece[i].end;) {
                        uint64_t left = piece[i].end - at, size = left < largest ? left : largest;
                        struct place *place = fsrv__list_add(places, sizeof *place);
                        if (!place)
                                return -ENOMEM;
                        *place = (struct place){ at, size, next_offset(*ret_end, at, size, work->pieces->page),
                                                 piece[i].protection };
                        *ret_end = place->offset + size;
                        at += size;
                }
        return 0;
}

/* The memory is the zygote's, and is to be seen as that: if one worker alone had a page mapped, tools would take it for
 * that worker's own. This mapping costs a fork nothing, since it is not copied. */
static void *map_again(int memfd, uint64_t size) {
        void *mirror = mmap(NULL, size, PROT_READ, MAP_PRIVATE, memfd, 0);

        if (mirror != MAP_FAILED && madvise(mirror, size, MADV_DONTFORK) < 0) {
                munmap(mirror, size);
                return NULL;
        }
        return mirror == MAP_FAILED ? NULL : mirror;
}

static void read_each_page(const struct work *work, const char *from, uint64_t size) {
        for (uint64_t at = 0; at < size; at += work->pieces->page)
                *(const volatile char *)(from + at);
}

/* How many bytes of a huge page of the file's are in use. Places come in the file's order; those before *first end
 * before this page. */
static uint64_t bytes_used_at(const struct fsrv__list *places, uint64_t offset, size_t *first) {
        const struct place *place = places->items;
        uint64_t used = 0;

        while (*first < places->n && place[*first].offset + place[*first].size <= offset)
                ++*first;
        for (size_t i = *first; i < places->n && place[i].offset < offset + HUGE_PAGE; i++) {
                uint64_t start = place[i].offset > offset ? place[i].offset : offset,
                         end = place[i].offset + place[i].size;
                used += (end < offset + HUGE_PAGE ? end : offset + HUGE_PAGE) - start;
        }
        return used;
}

/* To read memory in pages of 4 KiB, each of which has to be found in the file, takes a child seven times as long as to
 * read its own. In huge pages it doesn't, not even where only pieces of one are mapped. What isn't used of one costs
 * memory. */
static void collapse_file(int memfd, const struct fsrv__list *places, uint64_t size) {
        int64_t deadline = fsrv__collapse_deadline();
        size_t first = 0;

        for (uint64_t at = 0; at < size && fsrv__now() < deadline; at += HUGE_PAGE)
                if (bytes_used_at(places, at, &first) >= MOST_OF_HUGE_PAGE)
                        fsrv__collapse_at(memfd, at);
}

/* Nothing changes what is frozen, even if /proc/PID/map_files leads another process to it. */
static int seal_memfd(int memfd) {
        return fcntl(memfd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ? -errno : 0;
}

static void read_into(const struct work *work, char *mirror, const struct fsrv__list *places) {
        const struct place *place = places->items;

        for (size_t i = 0; i < places->n; i++)
                if (madvise(mirror + place[i].offset, place[i].size, MADV_POPULATE_READ) < 0) /* Linux 5.14 */
                        read_each_page(work, mirror + place[i].offset, place[i].size);
}

static int move_all(struct work *work, int memfd, const struct fsrv__list *places, uint64_t end) {
        char *mirror = map_again(memfd, end);
        const struct place *place = places->items;
        int r = 0;

        for (size_t i = 0; r == 0 && i < places->n; i++)
                r = move_place(work, memfd, &place[i]);
        if (r < 0)
                return r;
        collapse_file(memfd, places, end);
        if (mirror)
                read_into(work, mirror, places);
        return 0;
}

static int freeze_into(struct work *work, int memfd) {
        struct fsrv__list places = { 0 };
        uint64_t end = 0, largest = LARGEST;
        int r = fsrv__pieces_give_zeros_back(work->pieces);

        if (r < 0)
                return r;
        if (work->pieces->candidates > LARGEST && fsrv__collapse_works_on(memfd))
                largest = LARGEST_OF_HUGE_PAGES;
        r = split_pieces(work, largest, &places, &end);
        if (r == 0)
                r = move_all(work, memfd, &places, end);
        fsrv__list_done(&places);
        return r;
}

int fsrv__freeze(struct fsrv__pieces *pieces, uint64_t *frozen, const char **ret_failed) {
        FSRV_CLEANUP_FD int memfd = memfd_create(FSRV_FROZEN_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        struct work work = { .pieces = pieces, .frozen = frozen, .doing = "memfd_create" };

        *ret_failed = work.doing;
        if (memfd < 0)
                return -errno;
        int r = freeze_into(&work, memfd);
        int sealed = seal_memfd(memfd); /* after a failure too: part of the memory may be in it */
        *ret_failed = r < 0 ? work.doing : "sealing the memfd";
        return r < 0 ? r : sealed;
}
