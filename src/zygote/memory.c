/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/memory.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/linux.h"
#include "zygote/collapse.h"
#include "zygote/freeze.h"
#include "zygote/measure.h"
#include "zygote/redirect.h"

enum {
        MALLOC_PROBE = 32768, /* too large for a thread's cache, too small for a mapping */
        LITTLE = 1 << 20,     /* bytes: less than that is forked as fast as anything */
};

/* Other allocators than glibc's (jemalloc) give memory back with MADV_DONTNEED, and take it for zeros when they use it
 * again. The address of malloc doesn't tell which it is: in a program that isn't position-independent it is one of the
 * program's own. glibc's count of what is allocated does. */
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

/* Why nothing can be frozen, or NULL. */
static const char *obstacle_to_freezing(unsigned killed) {
        if (killed >= FSRV_WIRE_KILLED)
                return "zygotes were killed while they froze it";
        if (!malloc_is_glibcs())
                return "malloc is not the C library's";
        return fsrv__measure_has_threads() ? "a thread runs" : NULL;
}

/* By default a core dump has no private mappings of files, but where they were written to, core(5). That of a Python
 * program, say, would be without most of its objects. */
static void want_in_cores(struct fsrv__memory_report *report) {
        FSRV_CLEANUP_FD int fd = fsrv__open("/proc/self/coredump_filter", O_RDWR);
        char text[32];

        if (fd < 0)
                return;
        ssize_t n = read(fd, text, sizeof text - 1);
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

/* Adds why less was done: in words, and -errno or 0. */
static void add_why(struct fsrv__memory_report *report, const char *what, int r) {
        char *why = report->memory.why;
        size_t n = strlen(why);

        n += (size_t)snprintf(why + n, sizeof report->memory.why - n, "%s%s", n ? "; " : "", what);
        if (r < 0 && n < sizeof report->memory.why)
                snprintf(why + n, sizeof report->memory.why - n, ": %s", strerror(-r));
}

/* Whether all of it was frozen; if not, why has been added. */
static bool freeze_all(struct fsrv__pieces *pieces, unsigned killed, struct fsrv__memory_report *report) {
        const char *why = obstacle_to_freezing(killed);

        if (!why)
                why = fsrv__redirect(pieces->runs.items, pieces->runs.n);
        if (why) {
                add_why(report, why, 0);
                return false;
        }
        want_in_cores(report);
        int r = fsrv__freeze(pieces, &report->memory.frozen, &why);
        if (r < 0)
                add_why(report, why, r);
        return r == 0;
}

static void collapse_rest(struct fsrv__pieces *pieces, unsigned killed, struct fsrv__memory_report *report) {
        if (killed > FSRV_WIRE_KILLED) {
                add_why(report, "zygotes were killed while they collapsed it", 0);
                return;
        }
        int r = fsrv__collapse(pieces, &report->memory.collapsed);
        if (r < 0)
                add_why(report, "MADV_COLLAPSE", r);
}

static void find_and_settle(struct fsrv__pieces *pieces, enum fsrv_memory mode, unsigned killed,
                            struct fsrv__memory_report *report) {
        int r = fsrv__pieces_find(pieces);

        if (r < 0)
                add_why(report, "looking for pages in /proc/self/pagemap", r);
        else if (mode != FSRV_MEMORY_COLLAPSE && freeze_all(pieces, killed, report))
                return;
        collapse_rest(pieces, killed, report);
}

static uint64_t without(uint64_t bytes, uint64_t done) {
        return bytes > done ? bytes - done : 0; /* more may be done: holes are frozen too */
}

/* What was given back was found. How much of it was anonymous, and how much the zero page, cannot be told. */
static uint64_t bytes_left_of(const struct fsrv__mapping *mapping) {
        uint64_t done = mapping->frozen + mapping->collapsed;
        uint64_t anonymous = without(mapping->anonymous, done),
                 found = without(mapping->found, done + mapping->given_back);

        return found < anonymous ? found : anonymous;
}

/* What became of each mapping; `why`: less was done to all of them, or NULL. */
static void report_mappings(const char *why, struct fsrv__memory_report *report) {
        struct fsrv__mapping *mapping = report->mappings.items;

        for (size_t i = 0; i < report->mappings.n; i++) {
                mapping[i].left = bytes_left_of(&mapping[i]);
                if (!mapping[i].is_candidate)
                        continue;
                report->memory.left += mapping[i].left;
                if (why)
                        mapping[i].why = why;
                else if (mapping[i].left == 0)
                        mapping[i].why = mapping[i].given_back ? "zeros need no pages" : NULL;
        }
}

void fsrv__memory_settle(enum fsrv_memory mode, unsigned killed, struct fsrv__memory_report *ret_report) {
        struct fsrv__pieces pieces = { .mappings = &ret_report->mappings };
        const char *why = NULL;

        *ret_report = (struct fsrv__memory_report){ .memory.type = FSRV_WIRE_MEMORY };
        if (mode == FSRV_MEMORY_OFF)
                return;
        int r = fsrv__pieces_read(&pieces);
        if (r < 0)
                add_why(ret_report, "/proc/self/smaps", r);
        else if (mode == FSRV_MEMORY_AUTO && pieces.candidates < LITTLE)
                why = "all of it together is small";
        else
                find_and_settle(&pieces, mode, killed, ret_report);
        report_mappings(ret_report->memory.why[0] ? ret_report->memory.why : why, ret_report);
        fsrv__list_done(&pieces.runs);
}
