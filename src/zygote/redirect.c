/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/redirect.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Allocators (jemalloc, mimalloc, tcmalloc; many a library brings one of its own) give pages back with MADV_DONTNEED and take them for
 * zeros when they use them again. Of a private mapping of a file the file's bytes come back. So the entries of the loaded objects'
 * global offset tables that lead to madvise and mremap are made to lead here. Code that makes the system calls itself isn't caught;
 * that of Go does so, but has threads, which keep us from freezing anyway. The C library's own calls aren't either: its malloc never
 * takes such pages for zeros, and copies where mremap fails.
 */

/* ---- in a worker: nothing here may allocate, since an allocator calls it ---- */

/* What was frozen; by now there may be something else. */
static struct fsrv_run *places;
static size_t n_places;

static bool was_frozen(uintptr_t start, uintptr_t end) {
        size_t low = 0, high = n_places; /* the first place that ends after start */

        while (low < high) {
                size_t middle = (low + high) / 2;
                if (places[middle].end <= start)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < n_places && places[low].start < end;
}

struct seen {
        uintptr_t start, end;
        int protection;
};
typedef bool (*visit)(const struct seen *mapping, void *data);

/* One line of /proc/self/maps: "start-end rwxp offset dev inode path". */
static bool parse(const char *line, struct seen *ret) {
        uintptr_t *number = &ret->start;

        *ret = (struct seen){ 0 };
        for (; *line && *line != ' '; line++) {
                if (*line == '-')
                        number = &ret->end;
                else
                        *number = *number << 4 | (uintptr_t)(*line <= '9' ? *line - '0' : *line - 'a' + 10);
        }
        if (*line != ' ')
                return false;
        ret->protection = (line[1] == 'r' ? PROT_READ : 0) | (line[2] == 'w' ? PROT_WRITE : 0) | (line[3] == 'x' ? PROT_EXEC : 0);
        return strstr(line, "/memfd:" FSRV_FROZEN_NAME) != NULL;
}

/* Calls `found` for each mapping in [start, end) that is still frozen, until it says false. 0 or -errno. */
static int for_each_frozen(uintptr_t start, uintptr_t end, visit found, void *data) {
        char text[4096];
        size_t n = 0;
        bool go_on = true;

        if (!was_frozen(start, end))
                return 0;
        int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno; /* in a chroot, say: then it can't be told */
        while (go_on) {
                ssize_t more = read(fd, text + n, sizeof text - 1 - n);
                if (more <= 0)
                        break;
                n += (size_t)more;
                text[n] = 0;
                char *line = text, *newline;
                while (go_on && (newline = strchr(line, '\n'))) {
                        struct seen mapping;
                        *newline = 0;
                        if (parse(line, &mapping) && mapping.end > start && mapping.start < end)
                                go_on = found(&mapping, data);
                        line = newline + 1;
                }
                n -= (size_t)(line - text);
                if (n == sizeof text - 1)
                        n = 0; /* a path that is longer than any of ours */
                memmove(text, line, n);
        }
        close(fd);
        return 0;
}

struct range {
        uintptr_t start, end;
        int r;
};

static bool put_zeros(const struct seen *mapping, void *data) {
        struct range *range = data;
        uintptr_t start = mapping->start > range->start ? mapping->start : range->start;
        uintptr_t end = mapping->end < range->end ? mapping->end : range->end;

        if (mmap((void *)start, end - start, mapping->protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) ==
            MAP_FAILED)
                range->r = -errno;
        return range->r == 0;
}

static int redirected_madvise(void *address, size_t length, int advice) {
        int r = (int)syscall(SYS_madvise, address, length, advice);

        if (r == 0 && advice == MADV_DONTNEED) {
                uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)address;
                struct range range = { start, (start + length + page - 1) & ~(page - 1), 0 };
                int looked = for_each_frozen(range.start, range.end, put_zeros, &range);
                if (looked < 0 || range.r < 0) {
                        errno = looked < 0 ? -looked : -range.r;
                        return -1;
                }
        }
        return r;
}

static bool note(const struct seen *mapping, void *data) {
        *(int *)data = mapping->protection;
        return false;
}

/* Grows by copying: what mremap(2) would add is what follows in the file. */
static void *grow(void *old, size_t old_size, size_t new_size, int flags, void *wanted, int protection) {
        int fixed = flags & MREMAP_FIXED ? MAP_FIXED : 0;

        if (!(flags & MREMAP_MAYMOVE)) {
                errno = ENOMEM;
                return MAP_FAILED;
        }
        void *grown = mmap(fixed ? wanted : NULL, new_size, protection | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
        if (grown == MAP_FAILED)
                return MAP_FAILED;
        memcpy(grown, old, old_size);
        if (!(protection & PROT_WRITE))
                mprotect(grown, new_size, protection);
        munmap(old, old_size);
        return grown;
}

static void *redirected_mremap(void *old, size_t old_size, size_t new_size, int flags, ...) {
        int protection = -1;
        va_list list;

        va_start(list, flags);
        void *wanted = flags & MREMAP_FIXED ? va_arg(list, void *) : NULL;
        va_end(list);
        if (new_size > old_size)
                for_each_frozen((uintptr_t)old, (uintptr_t)old + old_size, note, &protection);
        return protection >= 0 ? grow(old, old_size, new_size, flags, wanted, protection)
                               : (void *)syscall(SYS_mremap, old, old_size, new_size, flags, wanted);
}

/* ---- in the zygote ---- */

#if defined(__x86_64__)
enum { JUMP_SLOT = R_X86_64_JUMP_SLOT, GLOBAL_DATA = R_X86_64_GLOB_DAT };
#elif defined(__aarch64__)
enum { JUMP_SLOT = R_AARCH64_JUMP_SLOT, GLOBAL_DATA = R_AARCH64_GLOB_DAT };
#else
enum { JUMP_SLOT = -1, GLOBAL_DATA = -1 };
#endif

static uintptr_t replacement_of(const char *name) {
        return strcmp(name, "madvise") == 0 ? (uintptr_t)redirected_madvise
               : strcmp(name, "mremap") == 0 ? (uintptr_t)redirected_mremap
                                             : 0;
}

struct object {
        uintptr_t base, relro, relro_end;
        const ElfW(Sym) *symbols;
        const char *strings;
};

/* The tables that are read-only after relocation are made writable for the moment. */
static bool set_slot(const struct object *object, uintptr_t *slot, uintptr_t value) {
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)slot & ~(page - 1);
        bool is_protected = (uintptr_t)slot >= object->relro && (uintptr_t)slot < object->relro_end;

        if (is_protected && mprotect((void *)at, page, PROT_READ | PROT_WRITE) < 0)
                return false;
        *slot = value;
        return !is_protected || mprotect((void *)at, page, PROT_READ) == 0;
}

static bool redirect_table(const struct object *object, const ElfW(Rela) *entry, size_t n) {
        for (size_t i = 0; entry && i < n; i++) {
                unsigned long type = ELF64_R_TYPE(entry[i].r_info);
                if (type != (unsigned long)JUMP_SLOT && type != (unsigned long)GLOBAL_DATA)
                        continue;
                uintptr_t value = replacement_of(object->strings + object->symbols[ELF64_R_SYM(entry[i].r_info)].st_name);
                if (value && !set_slot(object, (uintptr_t *)(object->base + entry[i].r_offset), value))
                        return false;
        }
        return true;
}

/* The loader has made addresses of these, but for objects whose dynamic section is read-only. */
static const void *pointer(const struct object *object, ElfW(Addr) value) {
        return (const void *)(value < object->base ? value + object->base : value);
}

static int redirect_object(struct dl_phdr_info *info, size_t size, void *data) {
        struct object object = { .base = info->dlpi_addr };
        const ElfW(Dyn) *dynamic = NULL;
        const ElfW(Rela) *tables[2] = { NULL, NULL };
        size_t sizes[2] = { 0, 0 };

        (void)size;
        for (int i = 0; i < info->dlpi_phnum; i++) {
                const ElfW(Phdr) *header = &info->dlpi_phdr[i];
                uintptr_t start = info->dlpi_addr + header->p_vaddr;
                uintptr_t own = (uintptr_t)redirect_object;
                if (header->p_type == PT_LOAD && own >= start && own < start + header->p_memsz)
                        return 0;
                if (header->p_type == PT_DYNAMIC)
                        dynamic = (const ElfW(Dyn) *)start;
                if (header->p_type == PT_GNU_RELRO) {
                        object.relro = start;
                        object.relro_end = start + header->p_memsz;
                }
        }
        for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++)
                switch (dynamic->d_tag) {
                case DT_SYMTAB: object.symbols = pointer(&object, dynamic->d_un.d_ptr); break;
                case DT_STRTAB: object.strings = pointer(&object, dynamic->d_un.d_ptr); break;
                case DT_JMPREL: tables[0] = pointer(&object, dynamic->d_un.d_ptr); break;
                case DT_PLTRELSZ: sizes[0] = dynamic->d_un.d_val; break;
                case DT_RELA: tables[1] = pointer(&object, dynamic->d_un.d_ptr); break;
                case DT_RELASZ: sizes[1] = dynamic->d_un.d_val; break;
                default: break;
                }
        if (!object.symbols || !object.strings)
                return 0;
        for (int i = 0; i < 2; i++)
                if (!redirect_table(&object, tables[i], sizes[i] / sizeof **tables))
                        *(bool *)data = false;
        return 0;
}

/* The first object is the program itself. */
static int is_dynamic(struct dl_phdr_info *info, size_t size, void *data) {
        (void)size;
        for (int i = 0; i < info->dlpi_phnum; i++)
                if (info->dlpi_phdr[i].p_type == PT_INTERP)
                        *(bool *)data = true;
        return 1;
}

const char *fsrv_redirect(const struct fsrv_run *frozen, size_t n) {
        bool dynamic = false, good = true;

        dl_iterate_phdr(is_dynamic, &dynamic);
        if (!dynamic || JUMP_SLOT < 0 || sizeof(void *) != 8)
                return dynamic ? "this architecture" : "a static program: who calls madvise cannot be told";
        if (!(places = malloc(n * sizeof *places + 1)))
                return "no memory";
        memcpy(places, frozen, n * sizeof *places);
        n_places = n;
        dl_iterate_phdr(redirect_object, &good);
        return good ? NULL : "madvise could not be redirected";
}
