/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/freeze.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/linux.h"
#include "zygote/measure.h"
#include "zygote/pieces.h"
#include "zygote/redirect.h"

/*
 * fork(2) copies the page tables of private memory, so its cost grows with what is loaded. Of a file's private mapping
 * that nobody has written to, it copies nothing: the pages can be had from the file again. So the contents of private
 * memory go to a memfd, which is sealed, and are mapped back in their places. Children fault them in from the page
 * cache and copy on write, as ever.
 *
 * What makes such memory different from anonymous memory, and what is done about it:
 * - A hole of the memfd that is read becomes a page of it for ever: only runs of pages that are there are frozen.
 * - Where a hole was read lies the zero page, which not every kernel tells from others: the contents decide, and zeros
 *   are given back to the kernel.
 * - mremap(2) that grows maps what follows in the memfd. Over two kinds of mappings it fails with EFAULT, and
 *   realloc(3) copies: the last page of each mapping, and of each of malloc's chunks that are mappings, stays
 *   anonymous.
 * - Writing to a mapping once makes fork(2) copy the page tables of all of it that reading has filled in since:
 *   mappings of at most 64 MiB, with gaps in the file, or the kernel would merge them. Of huge pages there are no page
 *   tables, and each mapping costs a fork something itself: of at most 256 MiB, then.
 * - madvise(MADV_DONTNEED) brings the frozen bytes back, not zeros: only beside an allocator that never asks for zeros
 *   that way.
 */

enum {
        MALLOC_PROBE = 32768, /* too large for a thread's cache, too small for a mapping */
        LITTLE = 1 << 20,     /* bytes: less than that is forked as fast as anything */
        COLLAPSE_TRIES = 3,   /* of one huge page */
        /* where memory is in pieces, the kernel takes seconds a GiB to make room for huge pages */
        COLLAPSE_LIMIT_MS = 10000,
};
static const uint64_t LARGEST = UINT64_C(64) << 20;
static const uint64_t LARGEST_OF_HUGE_PAGES = UINT64_C(256) << 20;
static const uint64_t HUGE_PAGE = UINT64_C(2) << 20;
static const uint64_t MOST_OF_HUGE_PAGE = UINT64_C(3) << 19;

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

struct work {
        struct fsrv__pieces pieces;
        const char *doing; /* what failed, if something has */
};

static uint64_t round_up(uint64_t value, uint64_t to) {
        return (value + to - 1) / to * to;
}

/* glibc's? Others (jemalloc) give memory back with MADV_DONTNEED and take it for zeros when they use it again. The
 * address of malloc doesn't tell: in a program that isn't position-independent it is one of the program's own. glibc's
 * count of what is allocated does. */
#pragma GCC diagnostic push
/* mallinfo2 came with glibc 2.33; the counts may wrap here */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static bool malloc_is_glibcs(void) {
        void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
        struct mallinfo (*info)(void) = libc ? (struct mallinfo(*)(void))dlsym(libc, "mallinfo") : mallinfo;

        if (libc)
                dlclose(libc);
        if (!info)
                return false;
        int before = info().uordblks;
        void *volatile probe = malloc(MALLOC_PROBE);
        int after = info().uordblks;
        free(probe);
        return probe && (unsigned)after - (unsigned)before >= MALLOC_PROBE;
}
#pragma GCC diagnostic pop

static const char *obstacle(unsigned killed) {
        if (killed >= FSRV_WIRE_KILLED)
                return "zygotes were killed while they froze it";
        if (!malloc_is_glibcs())
                return "malloc is not the C library's";
        return fsrv__measure_has_threads() ? "a thread runs" : NULL;
}

/* ---- freezing ---- */

struct place {
        uintptr_t start;
        uint64_t size, offset;
        int protection;
};

static int copy(int memfd, uintptr_t start, uint64_t size, uint64_t offset) {
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
 * calls that fail, after which nothing is mapped; and the kernel notes the CPU there, for who asks next.)
 *
 * Little by little: nobody has room for all of it twice, least of all who is near the limit of a control group and
 * would be killed. The kernel makes one mapping of what follows one another in the file.
 */
static int move(struct work *work, int memfd, const struct place *place, struct fsrv__freeze_report *report) {
        for (uint64_t done = 0, size; done < place->size; done += size) {
                uintptr_t start = place->start + done;
                size = HUGE_PAGE - start % HUGE_PAGE; /* of a huge page, all or nothing can be given back */
                if (size > place->size - done)
                        size = place->size - done;
                work->doing = "writing to the memfd";
                int r = copy(memfd, start, size, place->offset + done);
                if (r < 0)
                        return r;
                work->doing = "mapping the memfd";
                if (mmap((void *)start, size, place->protection, MAP_PRIVATE | MAP_FIXED, memfd,
                         (off_t)(place->offset + done)) == MAP_FAILED)
                        return -errno;
                fsrv__pieces_mapping_at(&work->pieces, start)->frozen += size;
                report->memory.frozen += size;
        }
        return 0;
}

/* Where there is a whole huge page, the offset has the address's place in one, so that it can be mapped as one. */
static uint64_t next_offset(uint64_t end, uintptr_t start, uint64_t size, uint64_t page) {
        if (round_up(start, HUGE_PAGE) + HUGE_PAGE > start + size)
                return end + page;
        uint64_t offset = round_up(end + page, HUGE_PAGE) + start % HUGE_PAGE;

        return offset - HUGE_PAGE > end ? offset - HUGE_PAGE : offset;
}

static int split(const struct work *work, uint64_t largest, struct fsrv__list *places, uint64_t *ret_end) {
        const struct fsrv_run *piece = work->pieces.runs.items;

        for (size_t i = 0; i < work->pieces.runs.n; i++)
                for (uintptr_t at = piece[i].start; at < piece[i].end;) {
                        uint64_t left = piece[i].end - at, size = left < largest ? left : largest;
                        struct place *place = fsrv__list_add(places, sizeof *place);
                        if (!place)
                                return -ENOMEM;
                        *place = (struct place){ at, size, next_offset(*ret_end, at, size, work->pieces.page),
                                                 piece[i].protection };
                        *ret_end = place->offset + size;
                        at += size;
                }
        return 0;
}

/* The memory is the zygote's own, and to be seen as that: of a page that nobody else has mapped, tools would say that
 * it is private to the one worker that has read it. This mapping costs a fork nothing, since it is not copied. */
static void *map_again(int memfd, uint64_t size) {
        void *mirror = mmap(NULL, size, PROT_READ, MAP_PRIVATE, memfd, 0);

        if (mirror != MAP_FAILED && madvise(mirror, size, MADV_DONTFORK) < 0) {
                munmap(mirror, size);
                return NULL;
        }
        return mirror == MAP_FAILED ? NULL : mirror;
}

static void read_each_page(const struct work *work, const char *from, uint64_t size) {
        for (uint64_t at = 0; at < size; at += work->pieces.page)
                *(const volatile char *)(from + at);
}

/* 0 or -errno. EAGAIN: somebody else, khugepaged say, holds one of the pages just now, and "the user may try again
 * immediately" (Linux 0f3e2a2c4243). */
static int collapse_page(void *at) {
        int r = -EAGAIN;

        for (int tries = 0; r == -EAGAIN && tries < COLLAPSE_TRIES; tries++)
                r = madvise(at, HUGE_PAGE, MADV_COLLAPSE) < 0 ? -errno : 0;
        return r;
}

/* Makes a huge page of the file's at the offset, if the kernel has room for one: only where the bytes are shared and
 * can be written. */
static bool collapse_at(int memfd, uint64_t offset) {
        char *reserved = mmap(NULL, 2 * HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        void *at = (void *)round_up((uintptr_t)reserved, HUGE_PAGE);

        if (reserved == MAP_FAILED)
                return false;
        bool done = mmap(at, HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memfd, (off_t)offset) !=
                            MAP_FAILED &&
                    collapse_page(at) == 0;
        munmap(reserved, 2 * HUGE_PAGE);
        return done;
}

/* Whether the kernel does that, tried with one. */
static bool collapses(int memfd) {
        bool does = pwrite(memfd, "", 1, (off_t)HUGE_PAGE - 1) == 1 && collapse_at(memfd, 0);

        return ftruncate(memfd, 0) == 0 && does;
}

/* How much of a huge page of the file's is in use. Places come in the file's order; those before *first are behind
 * us. */
static uint64_t used_at(const struct fsrv__list *places, uint64_t offset, size_t *first) {
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

/* A child that reads memory in 4 KiB pages, each of which has to be found in the file, takes seven times as long as in
 * reading its own; in huge pages it does not. It is faster already where pieces of a huge page are mapped. What isn't
 * used of one costs memory. */
static void collapse_file(int memfd, const struct fsrv__list *places, uint64_t size) {
        int64_t deadline = fsrv__deadline(COLLAPSE_LIMIT_MS);
        size_t first = 0;

        for (uint64_t at = 0; at < size && fsrv__now() < deadline; at += HUGE_PAGE)
                if (used_at(places, at, &first) >= MOST_OF_HUGE_PAGE)
                        collapse_at(memfd, at);
}

/* Whoever gets hold of it, by /proc/PID/map_files, changes nobody's memory. */
static int seal(int memfd) {
        return fcntl(memfd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ? -errno : 0;
}

static int freeze(struct work *work, struct fsrv__freeze_report *report) {
        work->doing = "memfd_create";
        FSRV_CLEANUP_FD int memfd = memfd_create(FSRV_FROZEN_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        struct fsrv__list moved = { 0 };
        uint64_t end = 0;
        bool is_large = memfd >= 0 && work->pieces.candidates > LARGEST;
        int r = memfd < 0 ? -errno : fsrv__pieces_give_zeros_back(&work->pieces);

        if (r == 0)
                r = split(work, is_large && collapses(memfd) ? LARGEST_OF_HUGE_PAGES : LARGEST, &moved, &end);
        char *mirror = r < 0 ? NULL : map_again(memfd, end);
        const struct place *place = moved.items;

        for (size_t i = 0; r == 0 && i < moved.n; i++)
                r = move(work, memfd, &place[i], report);
        if (r == 0)
                collapse_file(memfd, &moved, end);
        for (size_t i = 0; r == 0 && mirror && i < moved.n; i++)
                if (madvise(mirror + place[i].offset, place[i].size, MADV_POPULATE_READ) < 0) /* Linux 5.14 */
                        read_each_page(work, mirror + place[i].offset, place[i].size);
        fsrv__list_done(&moved);
        int sealed = memfd < 0 ? 0 : seal(memfd); /* after a failure too: part of the memory may be in it */
        if (r == 0 && sealed < 0)
                work->doing = "sealing the memfd";
        return r < 0 ? r : sealed;
}

/* ---- the weaker mode: of a huge page a fork copies one entry instead of 512 ---- */

/* 0 or -errno of what could not be collapsed. */
static int collapse(struct work *work, struct fsrv__freeze_report *report) {
        const struct fsrv_run *piece = work->pieces.runs.items;
        int64_t deadline = fsrv__deadline(COLLAPSE_LIMIT_MS);
        int r = 0, failed;

        for (size_t i = 0; i < work->pieces.runs.n; i++) {
                struct fsrv__mapping *mapping = fsrv__pieces_mapping_at(&work->pieces, piece[i].start);
                mapping->why =
                        mapping->no_huge ? "huge pages were advised against" : "only whole huge pages can be collapsed";
                if (mapping->no_huge)
                        continue;
                for (uint64_t at = round_up(piece[i].start, HUGE_PAGE); at + HUGE_PAGE <= piece[i].end; at += HUGE_PAGE)
                        if (fsrv__now() >= deadline)
                                r = -ETIME;
                        else if (mapping->found > mapping->anonymous && fsrv__pieces_are_zero(at, HUGE_PAGE))
                                continue; /* the zero page is somewhere here, which takes no memory */
                        else if ((failed = collapse_page((void *)(uintptr_t)at)) < 0)
                                r = failed;
                        else {
                                mapping->collapsed += HUGE_PAGE;
                                report->memory.collapsed += HUGE_PAGE;
                        }
        }
        return r;
}

/* ---- all of it ---- */

/* Cores hold no private mappings of files that nobody has written to, but by this bit, core(5); Python's, say, would be
 * without most of its objects. */
static void want_in_cores(struct fsrv__freeze_report *report) {
        FSRV_CLEANUP_FD int fd = fsrv__open("/proc/self/coredump_filter", O_RDWR);
        char text[32];
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

        if (n <= 0)
                return;
        text[n] = 0;
        unsigned long filter = strtoul(text, NULL, 16);
        if (filter & FSRV_COREDUMP_FILE_PRIVATE)
                return;
        n = snprintf(text, sizeof text, "%#lx", filter | FSRV_COREDUMP_FILE_PRIVATE);
        if (pwrite(fd, text, (size_t)n, 0) == n)
                report->core_filter = filter + 1;
}

/* Adds to what is to be told. */
static void tell(struct fsrv__freeze_report *report, const char *what, int r) {
        char *why = report->memory.why;
        size_t n = strlen(why);

        snprintf(why + n, sizeof report->memory.why - n, "%s%s%s%s", n ? "; " : "", what, r < 0 ? ": " : "",
                 r < 0 ? strerror(-r) : "");
}

static void find_and_freeze(struct work *work, enum fsrv_memory mode, unsigned killed,
                            struct fsrv__freeze_report *report) {
        const char *why = NULL;

        work->doing = "looking for pages in /proc/self/pagemap";
        int r = fsrv__pieces_find(&work->pieces);
        if (r == 0 && mode != FSRV_MEMORY_COLLAPSE && !(why = obstacle(killed)) &&
            !(why = fsrv__redirect(work->pieces.runs.items, work->pieces.runs.n))) {
                want_in_cores(report);
                r = freeze(work, report);
                if (r == 0)
                        return;
        }
        if (r < 0 || why)
                tell(report, r < 0 ? work->doing : why, r);
        if (killed > FSRV_WIRE_KILLED) {
                tell(report, "zygotes were killed while they collapsed it", 0);
                return;
        }
        r = collapse(work, report); /* what is left */
        if (r < 0)
                tell(report, "MADV_COLLAPSE", r);
}

static uint64_t less(uint64_t bytes, uint64_t done) {
        return bytes > done ? bytes - done : 0; /* more may be done: holes are frozen too */
}

/* What was given back was found, but nobody knows how much of it was anonymous and how much the zero page. */
static uint64_t left_of(const struct fsrv__mapping *mapping) {
        uint64_t done = mapping->frozen + mapping->collapsed;
        uint64_t anonymous = less(mapping->anonymous, done), found = less(mapping->found, done + mapping->given_back);

        return found < anonymous ? found : anonymous;
}

static void settle(const struct work *work, const char *why, struct fsrv__freeze_report *report) {
        struct fsrv__mapping *mapping = work->pieces.mappings->items;

        for (size_t i = 0; i < work->pieces.mappings->n; i++) {
                mapping[i].left = left_of(&mapping[i]);
                if (!mapping[i].is_candidate)
                        continue;
                report->memory.left += mapping[i].left;
                if (why || mapping[i].left == 0)
                        mapping[i].why = !why && mapping[i].given_back ? "zeros need no pages" : why;
        }
}

void fsrv__freeze(enum fsrv_memory mode, unsigned killed, struct fsrv__freeze_report *ret_report) {
        struct work work = { .pieces.mappings = &ret_report->mappings, .doing = "/proc/self/smaps" };

        *ret_report = (struct fsrv__freeze_report){ .memory.type = FSRV_WIRE_MEMORY };
        if (mode == FSRV_MEMORY_OFF)
                return;
        int r = fsrv__pieces_read(&work.pieces);
        bool little = mode == FSRV_MEMORY_AUTO && work.pieces.candidates < LITTLE;
        if (r < 0)
                tell(ret_report, work.doing, r);
        else if (!little)
                find_and_freeze(&work, mode, killed, ret_report);
        settle(&work,
               ret_report->memory.why[0] ? ret_report->memory.why
               : little                  ? "all of it together is small"
                                         : NULL,
               ret_report);
        fsrv__list_done(&work.pieces.runs);
}
