/* SPDX-License-Identifier: MIT */
/* What workers do to memory that a zygote has frozen, each entry point one thing. They leave nothing in the memfd by
 * it. */
#include "frozen.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#define MREMAP_DONTUNMAP_ 4

/* ---- malloc ---- */

static int check_calloc(const char *when) {
        for (size_t size = 16; size < 3000000; size = size * 3 / 2 + 8)
                for (int i = 0; i < 40; i++) {
                        unsigned char *made = calloc(1, size);
                        size_t wrong = made ? not_zero(made, size) : 0;
                        CHECK(made && !wrong, "%s: calloc(%zu): byte %zu", when, size, wrong - 1);
                        memset(made, 0xAA, size);
                        if (i % 2)
                                free(made);
                }
        return 0;
}

int allocates(int argc, char **argv) {
        (void)argc, (void)argv;
        for (size_t i = 0; i < N_SMALL; i += 2)
                free(small[i]);
        if (check_calloc("after some are free"))
                return 1;
        for (size_t i = 1; i < N_SMALL; i += 2) {
                CHECK(small[i][0] == byte_of(i) && small[i][small_size(i) - 1] == byte_of(i), "small block %zu", i);
                free(small[i]);
        }
        free(block[0]);
        free(block[1]);
        malloc_trim(0);
        return check_calloc("after all are free, and trimmed");
}

/* The heap shrinks into what is frozen and grows again. */
int moves_break(int argc, char **argv) {
        (void)argc, (void)argv;
        char *before = sbrk(0);

        for (size_t i = 0; i < N_SMALL; i++)
                free(small[i]);
        malloc_trim(0);
        char *after = sbrk(0);
        CHECK(after + 2 * MIB < before, "the heap shrank by %zd bytes alone", before - after);
        unsigned char *added = sbrk(before - after + MIB);
        CHECK((char *)added == after, "the break moved by itself");
        CHECK_ZERO(added, (size_t)(before - after) + MIB);
        memset(added, 1, (size_t)(before - after) + MIB);
        CHECK(sbrk(-(before - after + MIB)) != (void *)-1 && sbrk(0) == after, "the break does not move back");
        return check_calloc("after the break moved");
}

static void *use_arena(void *data) {
        for (size_t i = 0; i < N_SMALL; i++)
                free(of_thread[i]);
        malloc_trim(0);
        *(int *)data = check_calloc("in a thread");
        return NULL;
}

int allocates_in_thread(int argc, char **argv) {
        (void)argc, (void)argv;
        pthread_t thread;
        int bad = 1;

        CHECK(pthread_create(&thread, NULL, use_arena, &bad) == 0, "no thread");
        pthread_join(thread, NULL);
        return bad || check_calloc("beside it");
}

typedef void *(*reallocate)(void *, size_t);

static int grow_block(unsigned char **at, size_t old, reallocate how) {
        long before = memfd_blocks();
        size_t size = 64 * MIB;
        unsigned char *grown = *at = how(*at, size);

        CHECK(grown, "realloc");
        for (size_t i = 0; i < size; i += PAGE) /* what lies behind the end of the memfd would be SIGBUS */
                read_byte(grown + i);
        CHECK_FILLED(grown, old);
        CHECK(memfd_blocks() == before, "%ld blocks became %ld", before, memfd_blocks());
        memset(grown + old, 1, size - old);
        CHECK_FILLED(grown, old);
        return 0;
}

/* Blocks that are mappings, which malloc grows by mremap(2). */
int reallocates(int argc, char **argv) {
        (void)argc, (void)argv;
        if (grow_block(&block[1], BLOCK, realloc) || grow_block(&block[0], BLOCK, realloc))
                return 1;
        free(block[0]);
        free(block[1]);
        return check_calloc("after blocks grew");
}

/* An object that is loaded later has an address of realloc that the zygote hasn't seen. */
int reallocates_unseen(int argc, char **argv) {
        (void)argc, (void)argv;
        reallocate unseen = (reallocate)dlsym(RTLD_DEFAULT, "realloc");

        return grow_block(&block[1], BLOCK, unseen) || grow_block(&block[0], BLOCK, unseen) ||
               grow_block(&aligned[1], BLOCK, unseen) || grow_block(&aligned[0], BLOCK, unseen);
}

/* A block that has shrunk ends where it is frozen. */
int reallocates_smaller(int argc, char **argv) {
        (void)argc, (void)argv;
        for (int i = 1; i >= 0; i--) {
                unsigned char *shrunk = realloc(block[i], BLOCK / 2);
                CHECK(shrunk, "realloc");
                block[i] = shrunk;
                CHECK_FILLED(block[i], BLOCK / 2);
        }
        return grow_block(&block[1], BLOCK / 2, realloc) || grow_block(&block[0], BLOCK / 2, realloc);
}

/* ---- mremap ---- */

static int check_growth(unsigned char *old, size_t old_size, size_t size, int flags, void *wanted) {
        size_t kept = (old_size + PAGE - 1) / PAGE * PAGE;
        unsigned char *grown = mremap(old, old_size, size, flags | MREMAP_MAYMOVE, wanted);

        CHECK(grown != MAP_FAILED, "mremap: %s", strerror(errno));
        CHECK(!wanted || grown == wanted, "it is elsewhere");
        CHECK_FILLED(grown, kept);
        CHECK_ZERO(grown + kept, size - kept);
        memset(grown + kept, 1, size - kept);
        CHECK_FILLED(grown, kept);
        return 0;
}

int grows(int argc, char **argv) {
        (void)argc, (void)argv;
        long before = memfd_blocks();
        int bad = check_growth(area[0], AREA, 3 * AREA, 0, NULL) || check_growth(area[1], AREA / 2, AREA, 0, NULL) ||
                  check_growth(area[2], AREA, 2 * AREA, MREMAP_FIXED, map(2 * AREA, 0)) ||
                  check_growth(big, big_size, big_size + 70 * MIB, 0, NULL);

        CHECK(bad || memfd_blocks() == before, "%ld blocks became %ld", before, memfd_blocks());
        return bad;
}

/* mremap(2) goes by pages. */
int grows_from_any_size(int argc, char **argv) {
        (void)argc, (void)argv;
        CHECK(mremap(area[1], 100, 200, 0) == area[1], "within a page: %s", strerror(errno));
        return check_growth(area[0], AREA - 100, 3 * AREA, 0, NULL);
}

int grows_unreadable(int argc, char **argv) {
        (void)argc, (void)argv;
        CHECK(mprotect(area[0], AREA, PROT_NONE) == 0, "mprotect");
        unsigned char *grown = mremap(area[0], AREA, 2 * AREA, MREMAP_MAYMOVE);
        CHECK(grown != MAP_FAILED, "mremap: %s", strerror(errno));
        CHECK(mprotect(grown, 2 * AREA, PROT_READ) == 0, "mprotect");
        CHECK_FILLED(grown, AREA);
        CHECK_ZERO(grown + AREA, AREA);
        return 0;
}

int moves_and_shrinks(int argc, char **argv) {
        (void)argc, (void)argv;
        unsigned char *moved = mremap(area[0], AREA / 2, AREA / 2, MREMAP_MAYMOVE | MREMAP_FIXED, map(AREA, 0));

        CHECK(moved != MAP_FAILED, "moving: %s", strerror(errno));
        CHECK_FILLED(moved, AREA / 2);
        CHECK(mremap(moved, AREA / 2, AREA / 4, 0) == moved, "shrinking: %s", strerror(errno));
        return check_growth(moved, AREA / 4, 2 * AREA, 0, NULL);
}

/* What has moved leaves zeros behind. */
int moves_and_stays(int argc, char **argv) {
        (void)argc, (void)argv;
        unsigned char *moved = mremap(area[0], AREA / 2, AREA / 2, MREMAP_MAYMOVE | MREMAP_DONTUNMAP_);

        if (moved == MAP_FAILED && errno == EINVAL)
                return SKIPPED;
        CHECK(moved != MAP_FAILED, "mremap: %s", strerror(errno));
        CHECK_FILLED(moved, AREA / 2);
        CHECK_ZERO(area[0], AREA / 2);
        return 0;
}

/* Of a private mapping of a file the file comes back, and it grows by the file. */
int keeps_file(int argc, char **argv) {
        (void)argc, (void)argv;
        CHECK_FILLED(private_file, AREA);
        CHECK(madvise(private_file, AREA / 2, MADV_DONTNEED) == 0, "madvise: %s", strerror(errno));
        for (int i = 0; i < AREA / 2; i++)
                CHECK(private_file[i] == 'f', "byte %d of the file is %d", i, private_file[i]);
        unsigned char *grown = mremap(private_file, AREA, 2 * AREA, MREMAP_MAYMOVE);
        CHECK(grown != MAP_FAILED, "mremap: %s", strerror(errno));
        for (int i = AREA; i < 2 * AREA; i++)
                CHECK(grown[i] == 'f', "byte %d of the file is %d", i, grown[i]);
        return 0;
}

/* Code as a compiler at run time makes it: the zygote writes it, and a worker executes it. */
int becomes_code(int argc, char **argv) {
        (void)argc, (void)argv;
#ifdef __x86_64__
        static const unsigned char code[] = { 0xB8, 42, 0, 0, 0, 0xC3 };

        memcpy(area[0], code, sizeof code);
        CHECK(mprotect(area[0], AREA, PROT_READ | PROT_EXEC) == 0, "mprotect: %s", strerror(errno));
        CHECK(((int (*)(void))(uintptr_t)area[0])() == 42, "other code");
        CHECK(mprotect(area[1], AREA, PROT_READ | PROT_EXEC) == 0, "mprotect: %s", strerror(errno));
        return 0;
#else
        return SKIPPED;
#endif
}

/* ---- madvise ---- */

int advises_zeros(int argc, char **argv) {
        (void)argc, (void)argv;
        CHECK(madvise(area[0] + 2 * PAGE, 10 * PAGE - 5, MADV_DONTNEED) == 0, "madvise: %s", strerror(errno));
        CHECK_FILLED(area[0], 2 * PAGE);
        CHECK_ZERO(area[0] + 2 * PAGE, 10 * PAGE);
        CHECK(area[0][12 * PAGE] == byte_of(12) && not_filled(area[1], AREA) == 0, "what lies beside it");
        memset(area[0] + 2 * PAGE, 1, 10 * PAGE);
        CHECK(madvise(big + 60 * MIB, 4 * MIB, MADV_DONTNEED) == 0, "madvise: %s", strerror(errno));
        CHECK_ZERO(big + 60 * MIB, 4 * MIB);
        CHECK(mprotect(area[2], AREA, PROT_READ) == 0 && madvise(area[2], AREA, MADV_DONTNEED) == 0,
              "read-only memory");
        CHECK_ZERO(area[2], AREA);
        /* Its last page may be a mapping of its own, which wasn't frozen. */
        struct sum sum = look(area[2], AREA, false);
        CHECK(sum.readonly == sum.n, "%d of %d mappings are writable now", sum.n - sum.readonly, sum.n);
        return 0;
}

/* By an address in data, as a table of functions has it. */
static int (*volatile advise)(void *, size_t, int) = madvise;

int advises_by_pointer(int argc, char **argv) {
        (void)argc, (void)argv;
        CHECK(advise(area[0], AREA, MADV_DONTNEED) == 0, "madvise: %s", strerror(errno));
        CHECK_ZERO(area[0], AREA);
        return 0;
}

int advises_locked(int argc, char **argv) {
        (void)argc, (void)argv;
        CHECK(mlock(area[0], AREA) == 0, "mlock: %s", strerror(errno));
        CHECK(madvise(area[0], AREA, MADV_DONTNEED) < 0 && errno == EINVAL, "locked memory was thrown away");
        CHECK_FILLED(area[0], AREA);
        if (madvise(area[0], AREA, DONTNEED_LOCKED) < 0)
                return SKIPPED;
        CHECK_ZERO(area[0], AREA);
        return 0;
}

/* Guard pages throw away what was there. */
int advises_guard(int argc, char **argv) {
        (void)argc, (void)argv;
        if (madvise(area[0], 4 * PAGE, GUARD_INSTALL) < 0)
                return SKIPPED;
        CHECK(madvise(area[0], 4 * PAGE, GUARD_REMOVE) == 0, "madvise: %s", strerror(errno));
        CHECK_ZERO(area[0], 4 * PAGE);
        return 0;
}

/* The others keep what is there, or fail: MADV_FREE, MADV_WIPEONFORK and MADV_REMOVE always do. */
int advises_others(int argc, char **argv) {
        (void)argc, (void)argv;
        static const int advice[] = { MADV_NORMAL,    MADV_RANDOM,      MADV_SEQUENTIAL, MADV_WILLNEED,
                                      MADV_FREE,      MADV_REMOVE,      MADV_DONTFORK,   MADV_DOFORK,
                                      MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_HUGEPAGE,   MADV_NOHUGEPAGE,
                                      MADV_DONTDUMP,  MADV_DODUMP,      MADV_WIPEONFORK, MADV_KEEPONFORK,
                                      COLD,           PAGEOUT,          POPULATE_READ,   POPULATE_WRITE,
                                      COLLAPSE };
        size_t size = 4 * MIB;

        for (size_t i = 0; i < sizeof advice / sizeof *advice; i++) {
                unsigned char *at = (void *)(((uintptr_t)big + 4 * MIB - 1) / (4 * MIB) * (4 * MIB) + i % 12 * size);
                size_t first = (size_t)(at - big) / PAGE;
                errno = 0;
                bool fails = madvise(at, size, advice[i]) < 0;
                int err = errno;
                bool always = advice[i] == MADV_FREE || advice[i] == MADV_WIPEONFORK || advice[i] == MADV_REMOVE;
                CHECK(!always || fails, "advice %d succeeds", advice[i]);
                CHECK(!fails || err == EINVAL || (advice[i] == MADV_REMOVE && err == EACCES) ||
                              advice[i] >= POPULATE_READ,
                      "advice %d: %s", advice[i], strerror(err));
                for (size_t k = 0; k < size; k++)
                        CHECK(at[k] == byte_of(first + k / PAGE), "advice %d: byte %zu is %d", advice[i], k, at[k]);
                memset(at, byte_of(first), PAGE);
        }
        return 0;
}

/* By now something else is mapped where frozen memory was. */
int advises_replaced(int argc, char **argv) {
        (void)argc, (void)argv;
        int fd = memfd_create("something-else", MFD_CLOEXEC);
        char page[PAGE];

        memset(page, 'f', sizeof page);
        for (int i = 0; i < AREA / PAGE; i++)
                CHECK(write(fd, page, sizeof page) == PAGE, "write");
        for (int shared = 0; shared < 2; shared++) {
                unsigned char *at = area[shared];
                munmap(at, AREA);
                int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED;
                CHECK(mmap(at, AREA, PROT_READ | PROT_WRITE, flags, fd, 0) == at, "mmap: %s", strerror(errno));
                CHECK(madvise(at, AREA, MADV_DONTNEED) == 0, "madvise: %s", strerror(errno));
                for (int i = 0; i < AREA; i++)
                        CHECK(at[i] == 'f', "byte %d of the file is %d", i, at[i]);
        }
        area[1][3] = 'g';
        CHECK(pread(fd, page, 4, 0) == 4 && page[3] == 'g', "the file is not shared any more");
        return 0;
}
