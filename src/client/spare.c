/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "client/spare.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LARGE = 16 << 20 };

struct mapping {
        uintptr_t start, end;
        bool is_candidate;
};

/* A line "start-end perms offset device inode", and a name. (Of smaps the other lines begin with a word.) */
static bool parse_mapping(const char *line, const void *const *needed, size_t n_needed, struct mapping *ret_mapping) {
        unsigned long inode;
        struct mapping mapping;
        char perms[5];

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*x %*x:%*x %lu", &mapping.start, &mapping.end, perms,
                   &inode) != 4)
                return false;
        mapping.is_candidate = strcmp(perms, "rw-p") == 0 && inode == 0 && mapping.end - mapping.start >= LARGE;
        for (size_t i = 0; i < n_needed; i++)
                if ((uintptr_t)needed[i] >= mapping.start && (uintptr_t)needed[i] < mapping.end)
                        mapping.is_candidate = false;
        *ret_mapping = mapping;
        return true;
}

/* The kernel looks at each page for smaps, so smaps is read only if there is something to spare. */
static bool has_candidates(const void *const *needed, size_t n_needed) {
        FILE *file = fopen("/proc/self/maps", "re");
        struct mapping mapping = { 0 };
        size_t room = 0;
        char *line = NULL;

        while (file && !mapping.is_candidate && getline(&line, &room, file) > 0)
                parse_mapping(line, needed, n_needed, &mapping);
        free(line);
        if (file)
                fclose(file);
        return mapping.is_candidate;
}

/* AddressSanitizer's own memory is large, and nothing runs without it. */
#if defined(__SANITIZE_ADDRESS__)
#define FSRV_NEEDS_ALL true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FSRV_NEEDS_ALL true
#endif
#endif
#ifndef FSRV_NEEDS_ALL
#define FSRV_NEEDS_ALL false
#endif

void fsrv__spare(struct fsrv__spared *ret_spared, const void *const *needed, size_t n_needed) {
        struct mapping mapping = { 0 };
        size_t room = 0;
        char *line = NULL;

        ret_spared->n = 0;
        FILE *file = !FSRV_NEEDS_ALL && has_candidates(needed, n_needed) ? fopen("/proc/self/smaps", "re") : NULL;
        while (file && ret_spared->n < FSRV_SPARED_MAX && getline(&line, &room, file) > 0) {
                if (parse_mapping(line, needed, n_needed, &mapping) || strncmp(line, "VmFlags:", 8) != 0)
                        continue;
                /* "dc": the program has left it out of copies already, and for ever */
                if (!mapping.is_candidate || strstr(line, " dc"))
                        continue;
                /* This fails where another thread has unmapped a part meanwhile; the rest is done. */
                (void)madvise((void *)mapping.start, mapping.end - mapping.start, MADV_DONTFORK);
                ret_spared->range[ret_spared->n].start = mapping.start;
                ret_spared->range[ret_spared->n++].end = mapping.end;
        }
        free(line);
        if (file)
                fclose(file);
}

void fsrv__spare_no_more(const struct fsrv__spared *spared) {
        for (size_t i = 0; i < spared->n; i++)
                madvise((void *)spared->range[i].start, spared->range[i].end - spared->range[i].start, MADV_DOFORK);
}
