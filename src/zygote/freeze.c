/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/freeze.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/linux.h"
#include "zygote/mappings.h"
#include "zygote/measure.h"
#include "zygote/redirect.h"

/*
 * fork(2) copies the page tables of private memory, so its cost grows with what is loaded. Of a file's private mapping that nobody has
 * written to, it copies nothing: the pages can be had from the file again. So the contents of private memory go to a memfd, which is
 * sealed, and are mapped back in their places. Children fault them in from the page cache and copy on write, as ever.
 *
 * What makes such memory different from anonymous memory, and what is done about it:
 * - A hole of the memfd that is read becomes a page of it for ever: only runs of pages that are there are frozen.
 * - mremap(2) that grows maps what follows in the memfd. Over two kinds of mappings it fails with EFAULT, and realloc(3) copies: the
 *   last page of each mapping, and of each of malloc's chunks that are mappings, stays anonymous.
 * - Writing to a mapping once makes fork(2) copy the page tables of all of it that reading has filled in since: mappings of at most
 *   64 MiB, with gaps in the file, or the kernel would merge them.
 * - madvise(MADV_DONTNEED) brings the frozen bytes back, not zeros: only beside an allocator that never asks for zeros that way.
 */

enum {
        SHORTEST = 16,         /* pages: below that a fork copies them faster than it handles one mapping more */
        HOLE = 16,             /* pages: a shorter one is written out, as zeros, instead of taking mappings of its own */
        PIECES_MAX = 16384,    /* of the 65,530 mappings that a process may have by default */
        MALLOC_PROBE = 32768,  /* too large for a thread's cache, too small for a mapping */
        MANY = 64,             /* mappings of files */
        COREDUMP_FILE_PRIVATE = 1 << 2,
        LITTLE = 1 << 20,      /* bytes: less than that is forked as fast as anything */
};
static const uint64_t LARGEST = UINT64_C(64) << 20;
static const uint64_t LARGE = UINT64_C(16) << 20; /* below that there is little to gain */
static const uint64_t HUGE_PAGE = UINT64_C(2) << 20;

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

struct work {
        struct fsrv_list mappings, pieces;
        int pagemap;
        uint64_t page, candidates;
        size_t n_of_files;
};

static uint64_t round_up(uint64_t value, uint64_t to) {
        return (value + to - 1) / to * to;
}

/* glibc's? Others (jemalloc) give memory back with MADV_DONTNEED and take it for zeros when they use it again. The address of malloc
 * doesn't tell: in a program that isn't position-independent it is one of the program's own. glibc's count of what is allocated does. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* mallinfo2 came with glibc 2.33; the counts may wrap here */
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

static const char *obstacle(void) {
        if (!malloc_is_glibcs())
                return "malloc is not the C library's";
        return fsrv_measure_has_threads() ? "a thread runs" : NULL;
}

/* ---- what is to be frozen ---- */

struct search {
        const struct fsrv_mapping *mapping;
        bool found;
};

static int find_segment(struct dl_phdr_info *info, size_t size, void *data) {
        struct search *search = data;

        (void)size;
        for (int i = 0; i < info->dlpi_phnum; i++) {
                uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, end = start + info->dlpi_phdr[i].p_memsz;
                if (info->dlpi_phdr[i].p_type == PT_LOAD && start < search->mapping->end && end > search->mapping->start)
                        search->found = true;
        }
        return search->found;
}

/* Of loaded objects, what has been written to: data, and what is read-only since its relocation. Of other files' private mappings the
 * file's bytes are to come back with MADV_DONTNEED, and they grow by them: they stay what they are. */
static bool is_of_file(const struct fsrv_mapping *mapping) {
        struct search search = { mapping, false };

        if (!mapping->is_plain || mapping->kind != FSRV_MAPPING_FILE || mapping->anonymous == 0)
                return false;
        dl_iterate_phdr(find_segment, &search);
        return search.found;
}

/* Small mappings of files are private pages for each fork to see to, two of each library: worth it where there are many. (Of a few,
 * most are used by each child, for which the page that a fork has copied costs less than a fault.) */
static bool is_candidate(const struct fsrv_mapping *mapping, const struct work *work) {
        bool is_large = mapping->is_writable && mapping->anonymous >= SHORTEST * work->page;

        return (is_of_file(mapping) && (is_large || work->n_of_files >= MANY)) ||
               (mapping->is_plain && mapping->kind != FSRV_MAPPING_OTHER && mapping->kind != FSRV_MAPPING_FILE && is_large);
}

static int add_piece(struct work *work, uintptr_t start, uintptr_t end, int protection) {
        if (work->pieces.n >= PIECES_MAX)
                return 0;
        struct fsrv_run *piece = fsrv_list_add(&work->pieces, sizeof *piece);
        if (!piece)
                return -ENOMEM;
        *piece = (struct fsrv_run){ start, end, protection };
        return 0;
}

static int add_large(struct work *work, uintptr_t start, uintptr_t end) {
        return end < start + SHORTEST * work->page ? 0 : add_piece(work, start, end, PROT_READ | PROT_WRITE);
}

/* malloc's header of a chunk that is a mapping of its own: the previous chunk's size, none, and its size with a flag. Any memory may
 * look like that by chance; then a page stays anonymous for nothing. (A sanitizer's allocator doesn't let us look at all.) */
__attribute__((no_sanitize_address)) static uintptr_t end_of_chunk(uintptr_t at, uintptr_t limit, uint64_t page) {
        const uint64_t *header = (const void *)at;
        uint64_t size = header[1] & ~UINT64_C(7);

        return header[0] == 0 && (header[1] & 7) == 2 && size > page && size % page == 0 && size <= limit - at ? at + size : 0;
}

/* A run without the last pages of the chunks that end in it. `mapping_end`: how far a chunk may reach. */
static int add_run(struct work *work, struct fsrv_run run, uintptr_t mapping_end) {
        uintptr_t start = run.start;

        for (uintptr_t at = run.start; at < run.end;) {
                uintptr_t end = end_of_chunk(at, mapping_end, work->page);
                if (end && end <= run.end) {
                        if (add_large(work, start, end - work->page) < 0)
                                return -ENOMEM;
                        start = end;
                }
                at = end ? end : at + work->page;
        }
        return add_large(work, start, run.end);
}

static int add_memory(struct work *work, const struct fsrv_mapping *mapping) {
        struct fsrv_list runs = { 0 };
        int r = fsrv_pages_find(work->pagemap, mapping->start, mapping->end, &runs);
        const struct fsrv_run *run = runs.items;
        bool keeps_last = mapping->kind == FSRV_MAPPING_ANONYMOUS;

        for (size_t i = 0; r == 0 && i < runs.n;) {
                struct fsrv_run whole = run[i++];
                while (i < runs.n && run[i].start - whole.end <= HOLE * work->page)
                        whole.end = run[i++].end;
                if (keeps_last && whole.end == mapping->end)
                        whole.end -= work->page;
                r = keeps_last ? add_run(work, whole, mapping->end) : add_large(work, whole.start, whole.end);
        }
        fsrv_list_done(&runs);
        return r;
}

static int add_mapping(struct work *work, const struct fsrv_mapping *mapping) {
        int protection = mapping->is_writable ? PROT_READ | PROT_WRITE : PROT_READ;

        return is_of_file(mapping) ? add_piece(work, mapping->start, mapping->end, protection) : add_memory(work, mapping);
}

static int find_pieces(struct work *work) {
        const struct fsrv_mapping *mapping = work->mappings.items;

        for (size_t i = 0; i < work->mappings.n; i++) {
                int r = is_candidate(&mapping[i], work) ? add_mapping(work, &mapping[i]) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- freezing ---- */

struct place {
        uintptr_t start;
        uint64_t size, offset;
        int protection;
};

/*
 * This runs while the memory under it is replaced: libc's and our own static data, the heap. Between the copy and the mapping nothing
 * may be written but the stack, which is neither. (The thread's own block may be: errno is written by calls that fail, after which
 * nothing is mapped; and the kernel notes the CPU there, for who asks next.)
 */
static int move(int memfd, const struct place *place) {
        for (uint64_t done = 0; done < place->size;) {
                ssize_t n = pwrite(memfd, (const void *)(place->start + done), place->size - done, (off_t)(place->offset + done));
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                done += (uint64_t)n;
        }
        void *mapped = mmap((void *)place->start, place->size, place->protection, MAP_PRIVATE | MAP_FIXED, memfd,
                            (off_t)place->offset);
        return mapped == MAP_FAILED ? -errno : 0;
}

/* The offset has the address's place in a huge page, so that a collapsed memfd can be mapped by huge pages. */
static uint64_t next_offset(uint64_t end, uintptr_t start, uint64_t page) {
        uint64_t offset = round_up(end + page, HUGE_PAGE) + start % HUGE_PAGE;

        return offset - HUGE_PAGE > end ? offset - HUGE_PAGE : offset;
}

static int split(const struct work *work, struct fsrv_list *places, uint64_t *ret_end) {
        const struct fsrv_run *piece = work->pieces.items;

        for (size_t i = 0; i < work->pieces.n; i++)
                for (uintptr_t at = piece[i].start; at < piece[i].end;) {
                        uint64_t left = piece[i].end - at, size = left < LARGEST ? left : LARGEST;
                        struct place *place = fsrv_list_add(places, sizeof *place);
                        if (!place)
                                return -ENOMEM;
                        *place = (struct place){ at, size, next_offset(*ret_end, at, work->page), piece[i].protection };
                        *ret_end = place->offset + size;
                        at += size;
                }
        return 0;
}

/* The memory is the zygote's own, and to be seen as that: of a page that nobody else has mapped, tools would say that it is private to
 * the one worker that has read it. This mapping costs a fork nothing, since it is not copied. */
static void *map_again(int memfd, uint64_t size) {
        void *mirror = mmap(NULL, size, PROT_READ, MAP_PRIVATE, memfd, 0);

        if (mirror != MAP_FAILED && madvise(mirror, size, MADV_DONTFORK) < 0) {
                munmap(mirror, size);
                return NULL;
        }
        return mirror == MAP_FAILED ? NULL : mirror;
}

static void read_each_page(const struct work *work, const char *from, uint64_t size) {
        for (uint64_t at = 0; at < size; at += work->page)
                *(const volatile char *)(from + at);
}

/* Reading memory in 4 KiB pages that have to be found in a file takes a child seven times as long as reading its own; in huge pages it
 * does not. Only where the bytes are shared and can be written can the file's pages be collapsed. */
static void collapse_file(int memfd, const struct place *place) {
        size_t room = place->size + HUGE_PAGE;
        char *reserved = place->size < LARGE ? MAP_FAILED : mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (reserved == MAP_FAILED)
                return;
        uintptr_t at = round_up((uintptr_t)reserved, HUGE_PAGE) + place->start % HUGE_PAGE;
        if (at + place->size > (uintptr_t)reserved + room)
                at -= HUGE_PAGE;
        if (at >= (uintptr_t)reserved && mmap((void *)at, place->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memfd,
                                              (off_t)place->offset) != MAP_FAILED)
                for (uint64_t page = round_up(at, HUGE_PAGE); page + HUGE_PAGE <= at + place->size; page += HUGE_PAGE)
                        madvise((void *)(uintptr_t)page, HUGE_PAGE, MADV_COLLAPSE);
        munmap(reserved, room);
}

/* Whoever gets hold of it, by /proc/PID/map_files, changes nobody's memory. */
static int seal(int memfd) {
        return fcntl(memfd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ? -errno : 0;
}

static int freeze(struct work *work, struct fsrv_freeze_report *report) {
        FSRV_CLEANUP_FD int memfd = memfd_create(FSRV_FROZEN_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        struct fsrv_list moved = { 0 };
        uint64_t end = 0;
        int r = memfd < 0 ? -errno : split(work, &moved, &end);
        char *mirror = r < 0 ? NULL : map_again(memfd, end);
        const struct place *place = moved.items;

        for (size_t i = 0; r == 0 && i < moved.n; i++) {
                r = move(memfd, &place[i]);
                report->memory.frozen += r == 0 ? place[i].size : 0;
        }
        for (size_t i = 0; r == 0 && i < moved.n; i++)
                collapse_file(memfd, &place[i]);
        for (size_t i = 0; r == 0 && mirror && i < moved.n; i++)
                if (madvise(mirror + place[i].offset, place[i].size, MADV_POPULATE_READ) < 0) /* Linux 5.14 */
                        read_each_page(work, mirror + place[i].offset, place[i].size);
        fsrv_list_done(&moved);
        int sealed = memfd < 0 ? 0 : seal(memfd); /* after a failure too: part of the memory may be in it */
        return r < 0 ? r : sealed;
}

/* ---- the weaker mode: of a huge page a fork copies one entry instead of 512 ---- */

static void collapse(struct work *work, struct fsrv_freeze_report *report) {
        const struct fsrv_run *piece = work->pieces.items;

        for (size_t i = 0; i < work->pieces.n; i++)
                for (uint64_t at = round_up(piece[i].start, HUGE_PAGE); at + HUGE_PAGE <= piece[i].end; at += HUGE_PAGE)
                        if (madvise((void *)(uintptr_t)at, HUGE_PAGE, MADV_COLLAPSE) == 0)
                                report->memory.collapsed += HUGE_PAGE;
}

/* ---- */

static int begin(struct work *work) {
        int r;

        work->page = (uint64_t)sysconf(_SC_PAGESIZE);
        work->pagemap = fsrv_open("/proc/self/pagemap", O_RDONLY);
        if (work->pagemap < 0)
                return work->pagemap;
        r = fsrv_mappings_read(&work->mappings);
        const struct fsrv_mapping *mapping = work->mappings.items;
        for (size_t i = 0; i < work->mappings.n; i++)
                work->n_of_files += is_of_file(&mapping[i]);
        for (size_t i = 0; i < work->mappings.n; i++)
                work->candidates += is_candidate(&mapping[i], work) ? mapping[i].anonymous : 0;
        return r;
}

/* Cores hold no private mappings of files that nobody has written to, but by this bit, core(5); Python's, say, would be without most of
 * its objects. */
static void want_in_cores(struct fsrv_freeze_report *report) {
        FSRV_CLEANUP_FD int fd = fsrv_open("/proc/self/coredump_filter", O_RDWR);
        char text[32];
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

        if (n <= 0)
                return;
        text[n] = 0;
        unsigned long filter = strtoul(text, NULL, 16);
        if (filter & COREDUMP_FILE_PRIVATE)
                return;
        n = snprintf(text, sizeof text, "%#lx", filter | COREDUMP_FILE_PRIVATE);
        if (pwrite(fd, text, (size_t)n, 0) == n)
                report->core_filter = filter + 1;
}

static int find_and_freeze(struct work *work, enum fsrv_memory mode, struct fsrv_freeze_report *report) {
        const char *why = NULL;
        int r = find_pieces(work);

        if (r < 0)
                return r;
        if (mode == FSRV_MEMORY_COLLAPSE || (why = obstacle()) || (why = fsrv_redirect(work->pieces.items, work->pieces.n))) {
                if (why)
                        snprintf(report->memory.why, sizeof report->memory.why, "%s", why);
                collapse(work, report);
                return 0;
        }
        want_in_cores(report);
        r = freeze(work, report);
        if (r < 0)
                collapse(work, report); /* what is left */
        return r;
}

void fsrv_freeze(enum fsrv_memory mode, struct fsrv_freeze_report *ret_report) {
        struct work work = { .pagemap = -1 };
        int r = mode == FSRV_MEMORY_OFF ? 0 : begin(&work);

        *ret_report = (struct fsrv_freeze_report){ .memory.type = FSRV_WIRE_MEMORY };
        if (r == 0 && mode != FSRV_MEMORY_OFF && (work.candidates >= LITTLE || mode != FSRV_MEMORY_AUTO))
                r = find_and_freeze(&work, mode, ret_report);
        if (r < 0)
                snprintf(ret_report->memory.why, sizeof ret_report->memory.why, "%s", strerror(-r));
        if (work.candidates > ret_report->memory.frozen + ret_report->memory.collapsed)
                ret_report->memory.left = work.candidates - ret_report->memory.frozen - ret_report->memory.collapsed;
        fsrv_list_done(&work.mappings);
        fsrv_list_done(&work.pieces);
        fsrv_fd_close(work.pagemap);
}
