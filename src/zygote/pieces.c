/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/pieces.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

enum {
        SHORTEST = 16,      /* pages: below that a fork copies them faster than it handles one mapping more */
        HOLE = 16,          /* pages: a shorter one is written out, as zeros, instead of taking mappings of its own */
        PIECES_MAX = 16384, /* of the 65,530 mappings that a process may have by default */
        MANY = 64,          /* mappings of files */
        ZEROS = 16 << 20,   /* bytes, between others: fewer are not worth two mappings more (10 us a spawn) */
};

struct search {
        const struct fsrv__mapping *mapping;
        bool found;
};

static int find_segment(struct dl_phdr_info *info, size_t size, void *data) {
        struct search *search = data;

        (void)size;
        for (int i = 0; i < info->dlpi_phnum; i++) {
                uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr,
                          end = start + info->dlpi_phdr[i].p_memsz;
                if (info->dlpi_phdr[i].p_type == PT_LOAD && start < search->mapping->end &&
                    end > search->mapping->start)
                        search->found = true;
        }
        return search->found;
}

/* Whether it is a segment of a loaded object that has been written to: data, or what is read-only since its relocation.
 * Private mappings of other files stay what they are: with MADV_DONTNEED the file's bytes are to come back, and what
 * they grow by is the file's. */
static bool is_of_object(const struct fsrv__mapping *mapping) {
        struct search search = { mapping, false };

        if (mapping->special || mapping->kind != FSRV_MAPPING_FILE || mapping->anonymous == 0)
                return false;
        dl_iterate_phdr(find_segment, &search);
        return search.found;
}

/* Why a mapping is left alone, or NULL. Each library has two small mappings with private pages, which each fork has to
 * see to: freezing them is worth it where there are many. (Of few, each child uses most, and a page that the fork has
 * copied costs it less than a fault.) */
static const char *why_left_alone(const struct fsrv__mapping *mapping, uint64_t page, size_t n_of_files) {
        if (mapping->is_private && mapping->anonymous == 0)
                return "nothing was written to it";
        if (mapping->special)
                return mapping->special;
        if (mapping->kind == FSRV_MAPPING_OTHER)
                return "it is the kernel's";
        if (mapping->kind == FSRV_MAPPING_FILE && !mapping->is_of_object)
                return "it is of a file that is not loaded: MADV_DONTNEED has to bring its bytes back";
        if (mapping->is_of_object && n_of_files >= MANY)
                return NULL;
        if (!mapping->is_writable)
                return "read-only";
        return mapping->anonymous < SHORTEST * page ? "it is small: copying it is as fast" : NULL;
}

int fsrv__pieces_read(struct fsrv__pieces *pieces) {
        size_t n_of_files = 0;

        pieces->page = (uint64_t)sysconf(_SC_PAGESIZE);
        int r = fsrv__mappings_read(pieces->mappings);
        struct fsrv__mapping *mapping = pieces->mappings->items;
        for (size_t i = 0; i < pieces->mappings->n; i++) {
                mapping[i].is_of_object = is_of_object(&mapping[i]);
                n_of_files += mapping[i].is_of_object;
        }
        for (size_t i = 0; i < pieces->mappings->n; i++) {
                mapping[i].why = why_left_alone(&mapping[i], pieces->page, n_of_files);
                mapping[i].is_candidate = !mapping[i].why;
                mapping[i].found = mapping[i].anonymous;
                pieces->candidates += mapping[i].is_candidate ? mapping[i].anonymous : 0;
        }
        return r;
}

static int add_piece(struct fsrv__pieces *pieces, struct fsrv__mapping *mapping, uintptr_t start, uintptr_t end) {
        if (pieces->runs.n >= PIECES_MAX) {
                mapping->why = "there are too many pieces: the number of mappings is limited";
                return 0;
        }
        struct fsrv_run *piece = fsrv__list_add(&pieces->runs, sizeof *piece);
        if (!piece)
                return -ENOMEM;
        *piece = (struct fsrv_run){ start, end, mapping->is_writable ? PROT_READ | PROT_WRITE : PROT_READ };
        return 0;
}

static int add_large(struct fsrv__pieces *pieces, struct fsrv__mapping *mapping, uintptr_t start, uintptr_t end) {
        if (end >= start + SHORTEST * pieces->page)
                return add_piece(pieces, mapping, start, end);
        mapping->why = "its runs of pages are short: copying them is as fast";
        return 0;
}

/* Where a chunk of malloc's ends that is a mapping of its own and begins here, or 0. Its header has the previous
 * chunk's size, 0, and its own size with a flag; since glibc 2.43 that is without the header's. (An aligned block's
 * header lies further on; the one that malloc wrote before it aligned the block is still here.) Other memory may look
 * like that by chance; then a page stays anonymous for nothing. (A sanitizer's allocator doesn't let us look at all.)
 */
__attribute__((no_sanitize_address)) static uintptr_t end_of_chunk(uintptr_t at, uintptr_t limit, uint64_t page) {
        const uint64_t *header = (const void *)at;
        uint64_t size = header[1] & ~UINT64_C(7);

        if (size % page == page - 2 * sizeof *header)
                size += 2 * sizeof *header;
        bool is_chunk = header[0] == 0 && (header[1] & 7) == 2 && size > page && size % page == 0 && size <= limit - at;
        return is_chunk ? at + size : 0;
}

static void note_last_page(struct fsrv__mapping *mapping) {
        mapping->why = "the last page stays, so that memory that grows is copied";
}

/* A run without the last pages of the chunks that end in it. */
static int add_run(struct fsrv__pieces *pieces, struct fsrv__mapping *mapping, struct fsrv_run run) {
        uintptr_t start = run.start;

        for (uintptr_t at = run.start; at < run.end;) {
                uintptr_t end = end_of_chunk(at, mapping->end, pieces->page);
                if (end && end <= run.end) {
                        if (add_large(pieces, mapping, start, end - pieces->page) < 0)
                                return -ENOMEM;
                        note_last_page(mapping);
                        start = end;
                }
                at = end ? end : at + pieces->page;
        }
        if (start == run.end)
                return 0;
        return add_large(pieces, mapping, start, run.end);
}

static int add_memory(struct fsrv__pieces *pieces, int pagemap, struct fsrv__mapping *mapping) {
        struct fsrv__list runs = { 0 };
        int r = fsrv__pages_find(pagemap, mapping->start, mapping->end, &runs);
        const struct fsrv_run *run = runs.items;
        bool is_anonymous = mapping->kind == FSRV_MAPPING_ANONYMOUS;

        mapping->found = 0;
        for (size_t i = 0; i < runs.n; i++)
                mapping->found += run[i].end - run[i].start;
        for (size_t i = 0; r == 0 && i < runs.n;) {
                struct fsrv_run whole = run[i++];
                while (i < runs.n && run[i].start - whole.end <= HOLE * pieces->page)
                        whole.end = run[i++].end;
                if (is_anonymous && whole.end == mapping->end) {
                        whole.end -= pieces->page;
                        note_last_page(mapping);
                }
                if (is_anonymous)
                        r = add_run(pieces, mapping, whole);
                else
                        r = add_large(pieces, mapping, whole.start, whole.end);
        }
        fsrv__list_done(&runs);
        return r;
}

int fsrv__pieces_find(struct fsrv__pieces *pieces) {
        FSRV_CLEANUP_FD int pagemap = fsrv__open("/proc/self/pagemap", O_RDONLY);
        struct fsrv__mapping *mapping = pieces->mappings->items;
        int r = pagemap < 0 ? pagemap : 0;

        for (size_t i = 0; r == 0 && i < pieces->mappings->n; i++) {
                if (!mapping[i].is_candidate)
                        continue;
                if (mapping[i].is_of_object)
                        r = add_piece(pieces, &mapping[i], mapping[i].start, mapping[i].end);
                else
                        r = add_memory(pieces, pagemap, &mapping[i]);
        }
        return r;
}

/* ---- zeros: the zero page, huge or small, or pages of their own, as an array has that was filled with zeros ---- */

/* What lies between the blocks of a sanitizer's allocator must not be looked at by code that it watches. */
__attribute__((no_sanitize_address)) bool fsrv__pieces_are_zero(uintptr_t at, uint64_t size) {
        const uint64_t *word = (const void *)at;

        for (uint64_t i = 0; i < size / sizeof *word; i++)
                if (word[i])
                        return false;
        return true;
}

static uintptr_t end_of_zeros(uintptr_t at, uintptr_t end, uint64_t page) {
        while (at < end && fsrv__pieces_are_zero(at, page))
                at += page;
        return at;
}

static uintptr_t start_of_zeros(uintptr_t from, uintptr_t at, uint64_t page) {
        while (at > from && fsrv__pieces_are_zero(at - page, page))
                at -= page;
        return at;
}

/* Where the first stretch of ZEROS bytes or more begins; `end` if there is none. Where there are no zeros this reads
 * one word in as many bytes. */
static uintptr_t find_zeros(uintptr_t at, uintptr_t end, uint64_t page) {
        while (end - at >= ZEROS) {
                uintptr_t start = start_of_zeros(at, at + ZEROS, page);
                if (start == at)
                        return at;
                at = start;
        }
        return end;
}

/* Gives back what has just been seen to be zeros; since then nothing was written but the stack. (A call of madvise
 * would lead to redirect.c by now, which looks for what was frozen there.) */
static bool give_range_back(struct fsrv__mapping *mapping, uintptr_t start, uintptr_t end) {
        if (syscall(SYS_madvise, start, end - start, MADV_DONTNEED) < 0)
                return false;
        mapping->given_back += end - start;
        return true;
}

/* Adds a run without its zeros: those at its ends, which costs no mapping, and long stretches between, which does. */
static int add_without_zeros(struct fsrv__pieces *pieces, struct fsrv_run run, size_t n_others) {
        struct fsrv__mapping *mapping = fsrv__pieces_mapping_at(pieces, run.start);
        uint64_t page = pieces->page, least = SHORTEST * page;
        uintptr_t first = end_of_zeros(run.start, run.end, page), last = start_of_zeros(first, run.end, page);

        if (first - run.start >= least && give_range_back(mapping, run.start, first))
                run.start = first;
        if (run.end - last >= least && give_range_back(mapping, last, run.end))
                run.end = last;
        for (uintptr_t start = run.start, zeros, end; start < run.end; start = end) {
                bool has_room = pieces->runs.n + n_others < PIECES_MAX;
                zeros = has_room ? find_zeros(start, run.end, page) : run.end;
                end = end_of_zeros(zeros, run.end, page);
                if (zeros < end && !give_range_back(mapping, zeros, end))
                        zeros = end = run.end;
                if (zeros > start && add_large(pieces, mapping, start, zeros) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int fsrv__pieces_give_zeros_back(struct fsrv__pieces *pieces) {
        struct fsrv__list all = pieces->runs;
        const struct fsrv_run *run = all.items;
        int r = 0;

        pieces->runs = (struct fsrv__list){ 0 };
        for (size_t i = 0; r == 0 && i < all.n; i++) {
                struct fsrv__mapping *mapping = fsrv__pieces_mapping_at(pieces, run[i].start);
                if (mapping->is_of_object)
                        r = add_piece(pieces, mapping, run[i].start, run[i].end);
                else
                        r = add_without_zeros(pieces, run[i], all.n - i);
        }
        fsrv__list_done(r < 0 ? &pieces->runs : &all);
        if (r < 0)
                pieces->runs = all;
        return r;
}

struct fsrv__mapping *fsrv__pieces_mapping_at(struct fsrv__pieces *pieces, uintptr_t address) {
        struct fsrv__mapping *mapping = pieces->mappings->items;

        if (mapping[pieces->at].start > address)
                pieces->at = 0;
        while (mapping[pieces->at].end <= address)
                pieces->at++;
        return &mapping[pieces->at];
}
