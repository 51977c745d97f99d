/* SPDX-License-Identifier: MIT */
/* What frozen.c has its zygote freeze, and how frozen_use.c looks at it. */
#ifndef TESTS_FROZEN_H
#define TESTS_FROZEN_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#pragma GCC visibility push(hidden)

enum { PAGE = 4096, MIB = 1 << 20, SKIPPED = 77, N_SMALL = 20000, RUN = 32, N_AREAS = 6 };
enum {
        BLOCK = 8 * MIB,
        AREA = MIB,
        CHUNK = MIB,
        LEFT_ALONE = 64 * PAGE,
        ADVISED = 5 * MIB,
        N_FRAGMENTS = 34000,
        FRAGMENT = 64 * PAGE
};
#define SPARSE ((size_t)64 << 30)

/* Headers that are older than the kernel lack them. */
enum { COLD = 20, PAGEOUT = 21, POPULATE_READ = 22, POPULATE_WRITE = 23, DONTNEED_LOCKED = 24, COLLAPSE = 25 };
enum { GUARD_INSTALL = 102, GUARD_REMOVE = 103 };

extern unsigned char *small[N_SMALL], *of_thread[N_SMALL]; /* in the main arena, and in a thread's */
extern unsigned char *block[2], *aligned[2], *big, *area[N_AREAS], *sparse, *private_file, *advised[2];
extern size_t big_size;

struct sum {
        /* bytes of frozen mappings: in the range, of all that touch it, the longest of them */
        size_t mapped, all, longest;
        long anonymous_kib, huge_kib, private_kib, shared_huge_kib;
        int readonly, n;
        uintptr_t first, first_end;
};

unsigned char byte_of(size_t i);
size_t small_size(size_t i);
unsigned char *map(size_t size, int flags);
__attribute__((format(printf, 1, 2))) int complain(const char *format, ...); /* 1 */
struct sum look(const void *at, size_t size, bool frozen);
struct sum look_at_all_frozen(void);
long memfd_blocks(void);
size_t not_filled(const unsigned char *at, size_t size);
size_t not_zero(const unsigned char *at, size_t size);
/* The page is read, whatever the compiler makes of a value that nobody uses. */
static inline void read_byte(const unsigned char *at) {
        (void)*(const volatile unsigned char *)at;
}
int check_all(void);

#define CHECK_FILLED(at, size) \
        do { \
                size_t wrong = not_filled(at, size); \
                if (wrong) \
                        return complain("%s:%d: byte %zu of %s is %d", __func__, __LINE__, wrong - 1, #at, \
                                        (at)[wrong - 1]); \
        } while (0)
#define CHECK_ZERO(at, size) \
        do { \
                size_t wrong = not_zero(at, size); \
                if (wrong) \
                        return complain("%s:%d: byte %zu of %s is %d", __func__, __LINE__, wrong - 1, #at, \
                                        (at)[wrong - 1]); \
        } while (0)
#define CHECK(condition, ...) \
        do { \
                if (!(condition)) \
                        return complain(__VA_ARGS__); \
        } while (0)

#pragma GCC visibility pop
#endif
