/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/mappings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

void *fsrv__list_add(struct fsrv__list *list, size_t size) {
        enum { FIRST = 1 << 16 };

        if ((list->n + 1) * size > list->size) {
                struct fsrv__list grown = { .n = list->n, .size = list->size ? 2 * list->size : FIRST };
                /* Not mremap(2): the object behind shared memory keeps its first size. */
                grown.items = mmap(NULL, grown.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
                if (grown.items == MAP_FAILED)
                        return NULL;
                if (list->items)
                        memcpy(grown.items, list->items, list->n * size);
                fsrv__list_done(list);
                *list = grown;
        }
        return (char *)list->items + list->n++ * size;
}

void fsrv__list_done(struct fsrv__list *list) {
        if (list->items)
                munmap(list->items, list->size);
        *list = (struct fsrv__list){ 0 };
}

/* What is special about a mapping with these VmFlags, proc_pid_smaps(5); NULL: nothing. Any flag is special that isn't
 * known to be plain. Advice about huge pages, which numpy gives for every large array, is plain: once frozen, pages are
 * shared and are huge by themselves, and what is written to is copied by small ones, as after any fork. */
static const char *what_is_special(const char *flags) {
        static const char *const plain[] = { "rd", "wr", "mr", "mw", "me", "ac", "nr", "sd", "hg", "nh" };
        static const struct {
                const char *flag, *what;
        } known[] = { { "ex", "code" },
                      { "gd", "a stack" },
                      { "lo", "locked" },
                      { "dc", "kept out of forks" },
                      { "wf", "wiped at a fork" },
                      { "dd", "kept out of cores" },
                      { "ht", "of huge pages alone" },
                      { "io", "a device's" },
                      { "pf", "a device's" },
                      { "rr", "read at random" },
                      { "sr", "read in order" },
                      { "mg", "to be merged" },
                      { "um", "watched by userfaultfd" },
                      { "uw", "watched by userfaultfd" },
                      { "ss", "a shadow stack" },
                      { "sl", "sealed" } };
        bool readable = false;

        for (const char *at = flags; at[0] && at[0] != '\n';) {
                bool is_plain = false;
                if (at[0] == ' ') {
                        at++;
                        continue;
                }
                for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
                        is_plain |= strncmp(at, plain[i], 2) == 0;
                for (size_t i = 0; !is_plain && i < sizeof known / sizeof *known; i++)
                        if (strncmp(at, known[i].flag, 2) == 0)
                                return known[i].what;
                if (!is_plain)
                        return "of a kind that is not known";
                readable |= strncmp(at, "rd", 2) == 0;
                at += 2;
        }
        return readable ? NULL : "not to be read";
}

static enum fsrv__mapping_kind kind_of(uint64_t inode, const char *name) {
        if (inode != 0)
                return FSRV_MAPPING_FILE;
        if (strncmp(name, "[heap]", 6) == 0)
                return FSRV_MAPPING_HEAP;
        /* It has no name, or one from PR_SET_VMA_ANON_NAME. The others are the stack and what the kernel maps itself.
         */
        if (!name[0] || name[0] == '\n' || strncmp(name, "[anon:", 6) == 0)
                return FSRV_MAPPING_ANONYMOUS;
        return FSRV_MAPPING_OTHER;
}

static void keep_name(struct fsrv__mapping *mapping, char *name) {
        size_t n = strcspn(name, "\n"), room = sizeof mapping->name - 1;

        name[n] = 0;
        if (n > room)
                snprintf(mapping->name, sizeof mapping->name, "...%s", name + n - (room - 3));
        else
                memcpy(mapping->name, name, n + 1);
}

int fsrv__mappings_read(struct fsrv__list *ret_mappings) {
        struct fsrv__mapping *now = NULL;
        FILE *file = fopen("/proc/self/smaps", "re");
        char line[512], permissions[5];
        int r = 0, at = 0;

        if (!file)
                return -errno;
        while (fgets(line, sizeof line, file)) {
                uint64_t start, end, offset, inode, kib;

                if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %" SCNu64 " %n", &start, &end,
                           permissions, &offset, &inode, &at) == 5) {
                        if (!(now = fsrv__list_add(ret_mappings, sizeof *now))) {
                                r = -ENOMEM;
                                break;
                        }
                        *now = (struct fsrv__mapping){ .start = start, .end = end, .offset = offset };
                        now->is_private = permissions[3] == 'p';
                        now->is_writable = permissions[1] == 'w';
                        now->kind = kind_of(inode, line + at);
                        now->special = "of a kind that is not known"; /* until its VmFlags come */
                        keep_name(now, line + at);
                } else if (now && (sscanf(line, "Anonymous: %" SCNu64, &kib) == 1 ||
                                   sscanf(line, "Swap: %" SCNu64, &kib) == 1)) {
                        now->anonymous += kib * 1024;
                } else if (now && strncmp(line, "VmFlags:", 8) == 0) {
                        now->special = now->is_private ? what_is_special(line + 8) : "shared: no fork copies it";
                        now->no_huge = strstr(line, " nh");
                }
        }
        fclose(file);
        return r;
}

/* ---- which pages are there? ---- */

/* linux/fs.h, Linux 6.7 */
struct scan {
        uint64_t size, flags, start, end, walk_end, regions, n_regions, max_pages;
        uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct region {
        uint64_t start, end, categories;
};
enum { IS_PRESENT = 1 << 3, IS_SWAPPED = 1 << 4 };
#define SCAN _IOWR('f', 16, struct scan)

static int add_run(struct fsrv__list *runs, uintptr_t start, uintptr_t end) {
        struct fsrv_run *last = runs->n ? (struct fsrv_run *)runs->items + runs->n - 1 : NULL;

        if (last && last->end == start) {
                last->end = end;
                return 0;
        }
        struct fsrv_run *run = fsrv__list_add(runs, sizeof *run);
        if (!run)
                return -ENOMEM;
        *run = (struct fsrv_run){ .start = start, .end = end };
        return 0;
}

static int scan_pages(int pagemap, uintptr_t start, uintptr_t end, struct fsrv__list *runs) {
        struct region regions[64];

        while (start < end) {
                struct scan arg = { .size = sizeof arg,
                                    .start = start,
                                    .end = end,
                                    .regions = (uintptr_t)regions,
                                    .n_regions = sizeof regions / sizeof *regions,
                                    .category_anyof_mask = IS_PRESENT | IS_SWAPPED,
                                    .return_mask = IS_PRESENT };
                int n = ioctl(pagemap, SCAN, &arg);
                if (n < 0)
                        return -errno;
                for (int i = 0; i < n; i++)
                        if (add_run(runs, regions[i].start, regions[i].end) < 0)
                                return -ENOMEM;
                if (arg.walk_end <= start)
                        return -EIO;
                start = arg.walk_end;
        }
        return 0;
}

/* Documentation/admin-guide/mm/pagemap.rst. Its page numbers are hidden from most processes, these bits aren't. */
#define ENTRY_PRESENT   (UINT64_C(1) << 63)
#define ENTRY_SWAPPED   (UINT64_C(1) << 62)
#define ENTRY_FILE      (UINT64_C(1) << 61)
#define ENTRY_EXCLUSIVE (UINT64_C(1) << 56)

static int read_entries(int pagemap, uintptr_t start, uintptr_t end, uint64_t wanted, uint64_t unwanted,
                        struct fsrv__list *runs) {
        uint64_t entries[512];
        size_t page = (size_t)sysconf(_SC_PAGESIZE);

        if (end - start > UINT64_C(64) << 30)
                return -EFBIG; /* a reservation: 12 s for 16 TiB */
        while (start < end) {
                ssize_t n = pread(pagemap, entries, sizeof entries, (off_t)(start / page * sizeof *entries));
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                for (size_t i = 0; i < (size_t)n / sizeof *entries && start < end; i++, start += page)
                        if (entries[i] & wanted && !(entries[i] & unwanted) && add_run(runs, start, start + page) < 0)
                                return -ENOMEM;
        }
        return 0;
}

int fsrv__pages_find(int pagemap, uintptr_t start, uintptr_t end, struct fsrv__list *runs) {
        int r = scan_pages(pagemap, start, end, runs);

        if (r == -ENOTTY || r == -EINVAL || r == -EPERM || r == -ENOSYS)
                r = read_entries(pagemap, start, end, ENTRY_PRESENT | ENTRY_SWAPPED, 0, runs);
        return r;
}

int fsrv__pages_find_own(int pagemap, uintptr_t start, uintptr_t end, struct fsrv__list *runs) {
        return read_entries(pagemap, start, end, ENTRY_EXCLUSIVE, ENTRY_FILE, runs);
}
