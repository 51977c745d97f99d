/* SPDX-License-Identifier: MIT */
/*
 * Memory that a zygote freezes, and what was made of it. Each entry point checks one thing: 0, 1 after it has said what
 * is wrong, or 77 where the machine doesn't let it look. FROZEN in the environment of the zygote: what else the hook
 * does. What workers do to such memory is in frozen_use.c.
 */
#include "frozen.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIXED = 32 * MIB };
enum { ZEROS = 64 * MIB, ZEROS_END = 320 * MIB }; /* in `sparse`: what is read, or filled with zeros */
static const size_t TOUCHED[] = {
        0, 8 * MIB, 16 * MIB, ZEROS - RUN *PAGE, ZEROS_END, (size_t)48 << 30
}; /* RUN pages each */

unsigned char *small[N_SMALL], *of_thread[N_SMALL];
unsigned char *block[2], *aligned[2], *big, *area[N_AREAS], *sparse, *private_file, *advised[2], *chunks, *zeros,
        *mixed;
size_t big_size;
static unsigned char *marked, *locked, *wiped, *kept_out, *fragments;

/* ---- in the zygote ---- */

unsigned char byte_of(size_t i) {
        return (unsigned char)(1 + i * 7 % 255); /* never 0 */
}

static void fill(unsigned char *at, size_t size) {
        for (size_t i = 0; i < size; i += PAGE)
                memset(at + i, byte_of(i / PAGE), PAGE);
}

size_t small_size(size_t i) {
        return 16 + i * 37 % 900;
}

static void allocate_small(unsigned char **blocks) {
        for (size_t i = 0; i < N_SMALL; i++)
                if ((blocks[i] = malloc(small_size(i))))
                        memset(blocks[i], byte_of(i), small_size(i));
}

static void *allocate_in_thread(void *data) {
        allocate_small(of_thread);
        return data;
}

static void *idle(void *data) {
        for (;;)
                pause();
        return data;
}

unsigned char *map(size_t size, int flags) {
        void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

        return mapped == MAP_FAILED ? NULL : mapped;
}

static unsigned char *map_filled(size_t size) {
        unsigned char *mapped = map(size, 0);

        if (mapped)
                fill(mapped, size);
        return mapped;
}

/* Beside nothing: where an arena of malloc's is of the same mapping, each fork writes to its lock. */
static unsigned char *map_apart(size_t size) {
        unsigned char *room = mmap(NULL, size + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (room == MAP_FAILED || mprotect(room + PAGE, size, PROT_READ | PROT_WRITE) < 0)
                return NULL;
        fill(room + PAGE, size);
        return room + PAGE;
}

/* As glibc 2.43 has two blocks that are mappings side by side, whatever the one here does: sizes are without the
 * header's. */
static bool prepare_chunks(void) {
        if (!(chunks = map_apart(3 * CHUNK)))
                return false;
        for (int i = 0; i < 2; i++)
                memcpy(chunks + i * CHUNK, (uint64_t[]){ 0, (CHUNK - 2 * sizeof(uint64_t)) | 2 }, 2 * sizeof(uint64_t));
        return true;
}

static bool prepare_special(void) {
        locked = map_filled(LEFT_ALONE);
        wiped = map_filled(LEFT_ALONE);
        kept_out = map_filled(LEFT_ALONE);
        return locked && wiped && kept_out && mlock(locked, LEFT_ALONE) == 0 &&
               madvise(wiped, LEFT_ALONE, MADV_WIPEONFORK) == 0 && madvise(kept_out, LEFT_ALONE, MADV_DONTFORK) == 0;
}

/* As numpy advises of its large arrays, and others of theirs. */
static bool prepare_advised(void) {
        for (int i = 0; i < 2; i++) {
                if (!(advised[i] = map(ADVISED, 0)) ||
                    madvise(advised[i], ADVISED, i ? MADV_NOHUGEPAGE : MADV_HUGEPAGE) < 0)
                        return false;
                fill(advised[i], ADVISED);
        }
        return true;
}

/* By the zero page, by the huge one, or by pages of its own; and as a block of malloc's. */
static bool prepare_zeros(const char *what) {
        volatile unsigned char *at = sparse;

        for (size_t i = ZEROS; i < ZEROS_END; i += PAGE)
                if (strstr(what, "written"))
                        at[i] = 0;
                else
                        (void)at[i];
        if (!(zeros = malloc(BLOCK)))
                return false;
        for (size_t i = 0; i < BLOCK; i += PAGE)
                ((volatile unsigned char *)zeros)[i] = 0;
        return true;
}

/* Zeros that are many, and short. */
static bool prepare_mixed(void) {
        mixed = map_apart(MIXED);
        for (size_t at = 0; mixed && at < MIXED; at += 2 * RUN * PAGE)
                memset(mixed + at, 0, RUN * PAGE);
        return mixed;
}

static bool prepare_sparse(const char *what) {
        if (!(sparse = map(SPARSE, MAP_NORESERVE)) ||
            (strstr(what, "huge") && madvise(sparse, SPARSE, MADV_HUGEPAGE) < 0))
                return false;
        for (size_t i = 0; i < sizeof TOUCHED / sizeof *TOUCHED; i++)
                fill(sparse + TOUCHED[i], RUN * PAGE);
        sparse[(size_t)20 << 30] = 1;
        return !strstr(what, "zeros") || prepare_zeros(what);
}

/* A private mapping of the first half of a file, all of whose pages were written to. */
static bool prepare_file(void) {
        int fd = memfd_create("of-the-module", MFD_CLOEXEC);
        unsigned char page[PAGE];

        memset(page, 'f', sizeof page);
        for (int i = 0; i < 2 * AREA / PAGE; i++)
                if (write(fd, page, sizeof page) != PAGE)
                        return false;
        private_file = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        close(fd);
        if (private_file == MAP_FAILED)
                return false;
        fill(private_file, AREA);
        return true;
}

/* Blocks that are mappings of malloc's, side by side: what is one mapping then. Where the first ones fill gaps, those
 * stay unused. */
static bool prepare_blocks(void) {
        for (int tries = 0; tries < 20; tries++) {
                block[0] = block[1];
                if (!(block[1] = malloc(BLOCK)))
                        return false;
                if (block[0] && block[0] - block[1] == BLOCK + PAGE)
                        break;
        }
        fill(block[0], BLOCK);
        fill(block[1], BLOCK);
        for (int i = 0; i < 2; i++) {
                if (!(aligned[i] = aligned_alloc(i ? PAGE : 64, BLOCK)))
                        return false;
                fill(aligned[i], BLOCK);
        }
        return block[0] && block[1]; /* other allocators have other ways */
}

/* Each a mapping if it is frozen, and the hole after it another: more than a process may have. */
static bool prepare_fragments(void) {
        fragments = map((size_t)N_FRAGMENTS * FRAGMENT, MAP_NORESERVE);
        for (size_t i = 0; fragments && i < N_FRAGMENTS; i++)
                fill(fragments + i * FRAGMENT, RUN / 2 * PAGE);
        return fragments;
}

/* Mappings without a whole huge page, as a runtime's arenas are; and such that lie badly: one is in their middle, with
 * little around. */
static bool prepare_pieces(void) {
        enum { N_PIECES = 120, PLACE = 8 * MIB };
        uintptr_t room = (uintptr_t)mmap(NULL, (size_t)N_PIECES * PLACE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        room = (room + 2 * MIB - 1) / (2 * MIB) * (2 * MIB);
        for (size_t i = 0; i < N_PIECES - 1; i++) {
                unsigned char *at = (unsigned char *)room + i * PLACE + (i % 5 ? MIB / 2 : 2 * MIB - 2 * PAGE);
                size_t size = i % 5 ? MIB : 2 * MIB + 24 * PAGE;
                if (mprotect(at, size, PROT_READ | PROT_WRITE) < 0)
                        return false;
                fill(at, size);
        }
        return true;
}

int forkserver_preload(void) {
        const char *what = getenv("FROZEN") ? getenv("FROZEN") : "";
        /* where room is found later; or what is above would keep the heap from shrinking */
        enum { N_HOLES = 40, HOLE = 100000 };
        void *holes[N_HOLES];
        pthread_t thread;

        if (strstr(what, "small")) {
                big = map_filled(big_size = MIB / 4);
                return big ? 0 : ENOMEM;
        }
        for (int i = 0; i < N_HOLES; i++)
                holes[i] = malloc(HOLE);
        if (strstr(what, "thread") && pthread_create(&thread, NULL, idle, NULL) != 0)
                return EAGAIN;
        if (pthread_create(&thread, NULL, allocate_in_thread, NULL) != 0)
                return EAGAIN;
        pthread_join(thread, NULL);
        bool has_blocks = prepare_blocks();
        big = map_apart(big_size = (strstr(what, "larger") ? 320 : strstr(what, "large") ? 160 : 64) * MIB);
        for (int i = 0; i < N_AREAS; i++)
                area[i] = map_filled(AREA);
        marked = map(AREA, 0);
        for (int i = 0; marked && i < AREA / PAGE; i++)
                sprintf((char *)marked + i * PAGE, "forkserver's marker %04d", i);
        if (!has_blocks || !big || !area[N_AREAS - 1] || !marked || !prepare_sparse(what) || !prepare_special() ||
            !prepare_chunks() || !prepare_advised() || (strstr(what, "file") && !prepare_file()) ||
            (strstr(what, "fragments") && !prepare_fragments()) || (strstr(what, "pieces") && !prepare_pieces()) ||
            (strstr(what, "mixed") && !prepare_mixed()))
                return errno ? errno : ENOMEM;
        allocate_small(small);
        for (int i = 0; i < N_HOLES; i++)
                free(holes[i]);
        return 0;
}

/* ---- in workers ---- */

int complain(const char *format, ...) {
        va_list list;

        va_start(list, format);
        vprintf(format, list);
        va_end(list);
        puts("");
        return 1;
}

/* All mappings that touch [at, at + size), or the frozen ones alone. */
struct sum look(const void *at, size_t size, bool frozen) {
        FILE *file = fopen("/proc/self/smaps", "re");
        uintptr_t low = (uintptr_t)at, high = low + size, start, end;
        char line[512], permissions[5];
        struct sum sum = { 0 };
        bool counts = false;
        long kib;

        while (file && fgets(line, sizeof line, file))
                if (sscanf(line, "%lx-%lx %4s", &start, &end, permissions) == 3) {
                        counts = end > low && start < high && (!frozen || strstr(line, "/memfd:forkserver-frozen"));
                        if (!counts)
                                continue;
                        sum.mapped += (end < high ? end : high) - (start > low ? start : low);
                        sum.all += end - start;
                        sum.longest = end - start > sum.longest ? end - start : sum.longest;
                        sum.readonly += permissions[1] != 'w';
                        if (sum.n++ == 0) {
                                sum.first = start;
                                sum.first_end = end;
                        }
                } else if (counts) {
                        sum.anonymous_kib += sscanf(line, "Anonymous: %ld", &kib) == 1 ? kib : 0;
                        sum.huge_kib += sscanf(line, "AnonHugePages: %ld", &kib) == 1 ? kib : 0;
                        sum.shared_huge_kib += sscanf(line, "ShmemPmdMapped: %ld", &kib) == 1 ? kib : 0;
                        /* a memfd's are dirty */
                        sum.private_kib += sscanf(line, "Private_Dirty: %ld", &kib) == 1 ? kib : 0;
                }
        if (file)
                fclose(file);
        return sum;
}

struct sum look_at_all_frozen(void) {
        return look(NULL, SIZE_MAX, true);
}

/* The memfd by way of a mapping of it; -1 where that is refused. */
static int open_memfd(int flags) {
        struct sum sum = look_at_all_frozen();
        char path[80];

        snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", sum.first, sum.first_end);
        return open(path, flags | O_CLOEXEC);
}

/* In 512 bytes; 0 where that can't be told. */
long memfd_blocks(void) {
        int fd = open_memfd(O_RDONLY);
        struct stat st = { 0 };

        if (fd >= 0) {
                fstat(fd, &st);
                close(fd);
        }
        return st.st_blocks;
}

size_t not_filled(const unsigned char *at, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (at[i] != byte_of(i / PAGE))
                        return i + 1;
        return 0;
}

size_t not_zero(const unsigned char *at, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (at[i])
                        return i + 1;
        return 0;
}

int check_all(void) {
        for (size_t i = 0; i < N_SMALL; i++)
                for (size_t k = 0; k < small_size(i); k++)
                        CHECK(small[i][k] == byte_of(i) && of_thread[i][k] == byte_of(i), "small block %zu, byte %zu",
                              i, k);
        CHECK_FILLED(block[0], BLOCK);
        CHECK_FILLED(block[1], BLOCK);
        CHECK_FILLED(aligned[0], BLOCK);
        CHECK_FILLED(aligned[1], BLOCK);
        CHECK_FILLED(big, big_size);
        for (int i = 0; i < N_AREAS; i++)
                CHECK_FILLED(area[i], AREA);
        for (size_t i = 0; i < sizeof TOUCHED / sizeof *TOUCHED; i++)
                CHECK_FILLED(sparse + TOUCHED[i], RUN * PAGE);
        return 0;
}

/* ---- what was done ---- */

int is_right(int argc, char **argv) {
        (void)argc, (void)argv;
        return check_all();
}

int is_not_frozen(int argc, char **argv) {
        (void)argc, (void)argv;
        struct sum sum = look_at_all_frozen();

        CHECK(sum.all == 0, "%zu bytes are frozen", sum.all);
        CHECK_FILLED(big, big_size);
        return 0;
}

/* is_frozen [MIB]: as long may a mapping be. */
int is_frozen(int argc, char **argv) {
        long limit = argc > 1 ? atol(argv[1]) : 0;
        struct sum sum = look(big, big_size, true), all = look_at_all_frozen();

        CHECK(sum.mapped >= big_size / 10 * 9, "%zu bytes of %zu are frozen", sum.mapped, big_size);
        CHECK(sum.anonymous_kib == 0, "page tables to be copied: %ld KiB are anonymous", sum.anonymous_kib);
        CHECK(all.longest <= (size_t)(limit > 0 ? limit : 256) * MIB, "a mapping of %zu bytes", all.longest);
        return check_all();
}

int advised_is_frozen(int argc, char **argv) {
        (void)argc, (void)argv;
        for (int i = 0; i < 2; i++) {
                struct sum sum = look(advised[i], ADVISED, true);
                CHECK(sum.mapped >= ADVISED / 10 * 9, "%zu bytes of %d are frozen", sum.mapped, ADVISED);
                CHECK(sum.anonymous_kib == 0, "%ld KiB are anonymous", sum.anonymous_kib);
                CHECK_FILLED(advised[i], ADVISED);
                CHECK(madvise(advised[i], ADVISED, i ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0, "madvise: %s",
                      strerror(errno));
                CHECK_FILLED(advised[i], ADVISED);
                memset(advised[i], 1, ADVISED);
        }
        return 0;
}

/* Of the zygote's own mapping of all of it a worker has nothing, but for the accounting. */
int mirror(int argc, char **argv) {
        (void)argc, (void)argv;

        CHECK(look_at_all_frozen().readonly == 0, "the zygote's mapping is here");
        CHECK_FILLED(big, big_size);
        CHECK(look(big, big_size, true).private_kib == 0, "what was read only counts as private");
        return 0;
}

/* Where the first huge page in it may begin; NULL: there is no memory. */
static unsigned char *on_huge_page(unsigned char *at) {
        return (unsigned char *)(((uintptr_t)at + 2 * MIB - 1) / (2 * MIB) * (2 * MIB));
}

int is_collapsed(int argc, char **argv) {
        (void)argc, (void)argv;
        unsigned char *whole = on_huge_page(map(4 * MIB, 0));

        fill(whole, 2 * MIB);
        if (madvise(whole, 2 * MIB, COLLAPSE) < 0)
                return SKIPPED;
        struct sum sum = look(big, big_size, false);
        CHECK(look_at_all_frozen().all == 0, "it is frozen");
        CHECK(sum.huge_kib >= 32 * 1024, "%ld KiB of huge pages", sum.huge_kib);
        return check_all();
}

/* Where the kernel makes pages of a memfd huge on demand. */
static bool can_be_huge(void) {
        int fd = memfd_create("probe", MFD_CLOEXEC);
        unsigned char *whole = on_huge_page(map(6 * MIB, 0));

        if (fd < 0 || ftruncate(fd, 2 * MIB) < 0 ||
            mmap(whole, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
                return false;
        fill(whole, 2 * MIB);
        return madvise(whole, 2 * MIB, COLLAPSE) == 0;
}

/* It is, where plain memory would be. */
int is_read_as_huge_pages(int argc, char **argv) {
        (void)argc, (void)argv;
        if (!can_be_huge())
                return SKIPPED;
        CHECK_FILLED(big, big_size);
        struct sum sum = look(big, big_size, true);
        CHECK(sum.shared_huge_kib >= (long)(big_size / 1024 / 2), "%ld KiB of huge pages", sum.shared_huge_kib);
        return 0;
}

/* Most of the memfd is huge pages, however small the mappings of it are, and it has little that nobody uses. */
int is_of_huge_pages(int argc, char **argv) {
        (void)argc, (void)argv;
        struct stat st;
        int fd = open_memfd(O_RDONLY);

        if (fd < 0 || fstat(fd, &st) < 0 || !can_be_huge())
                return SKIPPED;
        size_t frozen = look_at_all_frozen().all, size = (size_t)st.st_size / (2 * MIB) * (2 * MIB);
        CHECK((size_t)st.st_blocks * 512 <= frozen / 8 * 9, "%ld blocks for %zu bytes", (long)st.st_blocks, frozen);
        unsigned char *at = on_huge_page(map(size + 2 * MIB, 0));
        CHECK(at && mmap(at, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED, "%s", strerror(errno));
        close(fd);
        for (size_t i = 0; i < size; i += 2 * MIB)
                read_byte(at + i);
        long huge_kib = look(at, size, false).shared_huge_kib;
        CHECK((size_t)huge_kib * 1024 >= frozen / 4 * 3, "%ld KiB of huge pages for %zu bytes", huge_kib, frozen);
        return 0;
}

int nothing(int argc, char **argv) {
        (void)argc, (void)argv;
        return 0;
}

int partly(int argc, char **argv) {
        (void)argc, (void)argv;
        struct sum sum = look_at_all_frozen();

        CHECK(sum.all > 16 * MIB && sum.all < big_size, "%zu bytes are frozen", sum.all);
        return check_all();
}

int new_chunks(int argc, char **argv) {
        (void)argc, (void)argv;
        CHECK(look(chunks, CHUNK - PAGE, true).mapped == CHUNK - PAGE, "a chunk is not frozen");
        for (int i = 1; i <= 2; i++)
                CHECK(look(chunks + i * CHUNK - PAGE, PAGE, true).mapped == 0, "the last page of chunk %d is frozen",
                      i);
        CHECK(look(chunks + 2 * CHUNK, CHUNK - PAGE, true).mapped == CHUNK - PAGE, "what is no chunk is not frozen");
        return 0;
}

/* Which lies last in a mapping, whose last page stays, is chance. */
static size_t frozen_of(const void *at, size_t size) {
        return (look(at, size, true).mapped + 16 * PAGE - 1) / (16 * PAGE) * 16;
}

/* What the two ways of finding pages are compared by. */
int sizes(int argc, char **argv) {
        (void)argc, (void)argv;
        printf("%zu %zu %zu %zu %zu\n", frozen_of(big, big_size), frozen_of(area[N_AREAS - 1], AREA),
               frozen_of(block[1], 2 * BLOCK), frozen_of(sparse, SPARSE), frozen_of(marked, AREA));
        return check_all();
}

int sealed(int argc, char **argv) {
        (void)argc, (void)argv;
        int fd = open_memfd(O_RDWR);

        CHECK(look_at_all_frozen().all, "nothing is frozen");
        if (fd < 0)
                return SKIPPED;
        int seals = fcntl(fd, F_GET_SEALS), wanted = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
        CHECK((seals & wanted) == wanted, "seals %#x", seals);
        CHECK(pwrite(fd, "x", 1, 0) < 0 && errno == EPERM, "it can be written to");
        CHECK(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED, "it can be mapped");
        return ftruncate(fd, 0) < 0 ? 0 : complain("it can be cut");
}

/* A process may have 65,530 mappings by default, and a worker wants some for itself. */
int leaves_mappings(int argc, char **argv) {
        (void)argc, (void)argv;
        unsigned char *own = map(20000 * PAGE, MAP_NORESERVE);

        for (size_t i = 0; i < 20000; i += 2)
                CHECK(mprotect(own + i * PAGE, PAGE, PROT_NONE) == 0, "%zu mappings alone: %s", i, strerror(errno));
        for (size_t i = 0; i < N_FRAGMENTS; i++)
                CHECK_FILLED(fragments + i * FRAGMENT, RUN / 2 * PAGE);
        return 0;
}

int left_alone(int argc, char **argv) {
        (void)argc, (void)argv;
        CHECK(look(locked, LEFT_ALONE, true).all == 0, "locked memory is frozen");
        CHECK_FILLED(locked, LEFT_ALONE);
        CHECK_ZERO(wiped, LEFT_ALONE);
        CHECK(look(kept_out, LEFT_ALONE, false).all == 0, "what is not for children is there");
        return 0;
}

static int check_sparse(void) {
        for (size_t at = 0; at < (size_t)1024 * MIB; at += PAGE) {
                unsigned char wanted = 0;
                for (size_t i = 0; i < sizeof TOUCHED / sizeof *TOUCHED; i++)
                        if (at >= TOUCHED[i] && at < TOUCHED[i] + RUN * PAGE)
                                wanted = byte_of((at - TOUCHED[i]) / PAGE);
                CHECK(sparse[at] == wanted, "byte %zu of the reservation is %d, not %d", at, sparse[at], wanted);
        }
        return 0;
}

/* How many pages are there; the zero page counts. */
static size_t pages_in(const unsigned char *at, size_t size) {
        int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        uint64_t entry;
        size_t n = 0;

        for (size_t i = 0; i < size; i += PAGE)
                if (pread(fd, &entry, sizeof entry, (off_t)((uintptr_t)(at + i) / PAGE * sizeof entry)) !=
                            sizeof entry ||
                    entry >> 62)
                        n++;
        close(fd);
        return n;
}

int has_holes(int argc, char **argv) {
        (void)argc, (void)argv;
        size_t frozen = look(sparse, SPARSE, true).mapped, touched = sizeof TOUCHED / sizeof *TOUCHED * RUN * PAGE;
        struct sum all = look_at_all_frozen();
        long before = memfd_blocks();

        CHECK(frozen <= touched && frozen >= touched - PAGE, "%zu bytes of the reservation are frozen, not %zu", frozen,
              touched);
        /* A quarter of a huge page may be for nothing. */
        CHECK((size_t)before * 512 <= all.all / 3 * 4, "%ld blocks for %zu bytes", before, all.all);
        CHECK(pages_in(sparse + ZEROS, ZEROS_END - ZEROS) == 0, "pages of zeros for a fork to copy");
        if (check_sparse())
                return 1;
        CHECK(memfd_blocks() == before, "reading holes made %ld blocks of %ld", memfd_blocks(), before);
        return 0;
}

/* A block of malloc's, of whose pages none but the one with the header are left. */
int has_no_zeros(int argc, char **argv) {
        (void)argc, (void)argv;
        long before = memfd_blocks();

        CHECK(pages_in(zeros + PAGE, BLOCK - 2 * PAGE) == 0, "pages of zeros for a fork to copy");
        CHECK_ZERO(zeros, BLOCK);
        memset(zeros, 1, 2 * PAGE);
        unsigned char *grown = realloc(zeros, 64 * MIB);
        CHECK(grown && grown[2 * PAGE - 1] == 1, "realloc");
        CHECK_ZERO(grown + 2 * PAGE, 64 * MIB - 2 * PAGE);
        CHECK(memfd_blocks() == before, "%ld blocks became %ld", before, memfd_blocks());
        return check_all();
}

int is_in_one_piece(int argc, char **argv) {
        (void)argc, (void)argv;
        struct sum sum = look(mixed, MIXED, true);

        CHECK(sum.mapped >= MIXED - 2 * RUN * PAGE && sum.n <= 2, "%zu bytes are frozen, in %d mappings", sum.mapped,
              sum.n);
        for (size_t at = 0; at < MIXED; at += PAGE)
                CHECK(mixed[at] == (at / PAGE % (2 * RUN) < RUN ? 0 : byte_of(at / PAGE)), "byte %zu is %d", at,
                      mixed[at]);
        return 0;
}

/* keeps_zeros [KIB]: where nothing is frozen, nothing is given back, and at most so much of it are pages of its own. */
int keeps_zeros(int argc, char **argv) {
        struct sum sum = look(sparse + ZEROS, ZEROS_END - ZEROS, false);

        CHECK(look_at_all_frozen().all == 0, "it is frozen");
        CHECK(pages_in(sparse + ZEROS, ZEROS_END - ZEROS) == (ZEROS_END - ZEROS) / PAGE, "zeros were given back");
        CHECK(argc < 2 || sum.anonymous_kib < atol(argv[1]), "the zero page became %ld KiB", sum.anonymous_kib);
        return check_sparse() || check_all();
}

/* ---- processes and threads ---- */

int write_all(int argc, char **argv) {
        (void)argc, (void)argv;
        memset(big, 0, big_size);
        for (int i = 0; i < 2; i++)
                memset(block[i], 0, BLOCK);
        for (int i = 0; i < N_AREAS; i++)
                memset(area[i], 0, AREA);
        for (int i = 0; i < N_SMALL; i++)
                memset(small[i], 0, small_size((size_t)i));
        CHECK_ZERO(big, big_size);
        return 0;
}

int forks(int argc, char **argv) {
        (void)argc, (void)argv;
        int status;

        big[5] = 0;
        pid_t pid = fork();
        if (pid == 0) {
                bool good = big[5] == 0 && big[6] == byte_of(0) && not_filled(big + PAGE * 255, PAGE * 255) == 0;
                big[5] = byte_of(0);
                good = good && check_all() == 0;
                _exit(good && write_all(0, NULL) == 0 ? 3 : 1);
        }
        waitpid(pid, &status, 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3, "the child's status: %#x", (unsigned)status);
        CHECK(big[5] == 0, "the child's write is seen");
        big[5] = byte_of(0);
        return check_all();
}

int executes(int argc, char **argv) {
        (void)argc, (void)argv;
        big[5] = 0;
        execl("/bin/sh", "sh", "-c", "exit 7", NULL);
        return 1;
}

static void *work(void *data) {
        unsigned char *from = big + (uintptr_t)data * (big_size / 8), *copy = malloc(big_size / 8);
        bool good = copy;

        for (size_t i = 0; good && i < big_size / 8; i++) {
                copy[i] = from[i];
                from[i] = (unsigned char)~copy[i];
        }
        for (size_t i = (uintptr_t)data; good && i < N_SMALL; i += 8)
                free(of_thread[i]);
        for (size_t i = 0; good && i < big_size / 8; i++)
                good = from[i] == (unsigned char)~copy[i];
        if (good)
                memcpy(from, copy, big_size / 8);
        free(copy);
        return good ? data : big;
}

int starts_threads(int argc, char **argv) {
        (void)argc, (void)argv;
        pthread_t threads[8];

        for (uintptr_t i = 0; i < 8; i++)
                CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0, "no thread");
        for (uintptr_t i = 0; i < 8; i++) {
                void *result;
                pthread_join(threads[i], &result);
                CHECK(result == (void *)i, "thread %zu", (size_t)i);
        }
        CHECK_FILLED(big, big_size);
        return 0;
}

int crash(int argc, char **argv) {
        (void)argc, (void)argv;
        struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

        if (setrlimit(RLIMIT_CORE, &limit) < 0)
                return SKIPPED;
        abort();
}

int core_filter(int argc, char **argv) {
        (void)argc, (void)argv;
        FILE *file = fopen("/proc/self/coredump_filter", "re");
        unsigned filter = 0;

        CHECK(file && fscanf(file, "%x", &filter) == 1 && filter & 4, "the filter is %#x", filter);
        fclose(file);
        return 0;
}
