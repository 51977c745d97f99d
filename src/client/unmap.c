/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "client/unmap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/call.h"
#include "base/linux.h"

/* From the first unmapping on there is no C library, no thread's memory and no code but ours. So there are only bare
 * system calls here, and nothing for which a compiler calls a function or checks the stack. */
#if defined(FSRV_CALLS_ARE_BARE) && defined(__has_attribute)
#if __has_attribute(no_stack_protector)
#define FSRV_ALONE __attribute__((noinline, no_stack_protector, no_sanitize("address", "undefined")))
#endif
#endif
#ifndef FSRV_ALONE
#define FSRV_ALONE __attribute__((noinline))
#define FSRV_KEEPS_ITS_MEMORY
#endif

#ifndef FSRV_KEEPS_ITS_MEMORY

/* The object that this code is in: the shared library, or what it is linked into. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

enum { PAGE_MAX = 64 << 10, KEPT = 2 };

struct range {
        uintptr_t start, end;
};

/* Unmaps the parts of a mapping that lie in neither of the kept ranges, which are in order. */
FSRV_ALONE static void unmap_around(uintptr_t start, uintptr_t end, const struct range kept[KEPT]) {
        for (int i = 0; i < KEPT && start < end; i++) {
                if (kept[i].start > start) {
                        uintptr_t until = kept[i].start < end ? kept[i].start : end;
                        fsrv__call(SYS_munmap, start, until - start);
                }
                if (kept[i].end > start)
                        start = kept[i].end;
        }
        if (start < end)
                fsrv__call(SYS_munmap, start, end - start);
}

/* The two numbers at the beginning of a line, "start-end …", which may come in pieces. */
struct line {
        uintptr_t number[2];
        int at; /* the number that is being read; 2: the rest of the line */
};

FSRV_ALONE static void take_character(struct line *line, char c, const struct range kept[KEPT]) {
        if (c == '\n') {
                line->at = 0;
                line->number[0] = line->number[1] = 0;
        } else if (line->at < 2 && (c == '-' || c == ' ')) {
                if (++line->at == 2)
                        unmap_around(line->number[0], line->number[1], kept);
        } else if (line->at < 2) {
                line->number[line->at] = line->number[line->at] << 4 | (uintptr_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
}

FSRV_ALONE static void unmap_all(int maps, const struct range kept[KEPT]) {
        char text[1024];
        struct line line;
        long n;

        line.at = 0;
        line.number[0] = line.number[1] = 0;
        while ((n = fsrv__call(SYS_read, maps, text, sizeof text)) > 0)
                for (long i = 0; i < n; i++)
                        take_character(&line, text[i], kept);
}

FSRV_ALONE static void unmap_the_rest(const char *stack, size_t size, int maps) {
        struct range own = { (uintptr_t)__ehdr_start / PAGE_MAX * PAGE_MAX, (uintptr_t)_end + PAGE_MAX };
        struct range kept[KEPT];

        own.end = own.end / PAGE_MAX * PAGE_MAX;
        bool first = own.start < (uintptr_t)stack;
        kept[first ? 0 : 1] = own;
        kept[first ? 1 : 0].start = (uintptr_t)stack;
        kept[first ? 1 : 0].end = (uintptr_t)stack + size;
        unmap_all(maps, kept);
}

static int open_maps(void) {
        return open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
}

#else

/* Where the calls are the C library's, the memory stays. It is shared with the caller until one of them writes to
 * it. */
static int open_maps(void) {
        return -1;
}

static void unmap_the_rest(const char *stack, size_t size, int maps) {
        (void)stack;
        (void)size;
        (void)maps;
}

#endif

FSRV_ALONE _Noreturn void fsrv__unmap_and_wait(const char *stack, size_t size, int report, int err) {
        int maps = open_maps(), told = err;

        if (maps >= 0) {
                unmap_the_rest(stack, size, maps);
                fsrv__call(SYS_close, maps);
        }
        fsrv__call(SYS_write, report, &told, sizeof told);
        fsrv__call(SYS_close, report);
        while (fsrv__call(SYS_wait4, -1, NULL, __WALL, NULL) != -ECHILD)
                ;
        for (;;)
                fsrv__call(SYS_exit_group, 0);
}
