/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/redirect.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Allocators (jemalloc, mimalloc, tcmalloc; many a library brings one of its own) give pages back with MADV_DONTNEED
 * and take them for zeros when they use them again. In a private mapping of a file the file's bytes come back. So the
 * entries of the loaded objects' global offset tables that lead to madvise and mremap are made to lead here.
 *
 * Code that makes the system calls itself isn't caught. Go's does, but has threads, beside which nothing is frozen. The
 * C library's own calls aren't caught either: its malloc never takes such pages for zeros, and copies where mremap
 * fails. For a block that is a mapping and has been shrunk mremap doesn't fail: the block ends in the middle of the
 * file. So calls of realloc lead here too, and such blocks grow by copying.
 */

/* ---- in a worker: nothing here may allocate, as an allocator calls it ---- */

/* What was frozen; by now there may be something else. */
static struct fsrv_run *places;
static size_t n_places;
static bool have_moved; /* some are elsewhere by now */

static bool was_frozen(uintptr_t start, uintptr_t end) {
        if (have_moved)
                return true;
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

/* Linux 5.18 and 6.13: other advice that throws away what is there */
enum { DONTNEED_LOCKED = 24, GUARD_INSTALL = 102, DONTUNMAP = 4 /* mremap, 5.7 */ };

struct seen {
        uintptr_t start, end;
        int protection;
};
typedef bool (*visit)(const struct seen *mapping, void *data);

/* One line of /proc/self/maps: "start-end rwxp offset dev inode path". */
static bool parse_mapping(const char *line, struct seen *ret) {
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
        ret->protection =
                (line[1] == 'r' ? PROT_READ : 0) | (line[2] == 'w' ? PROT_WRITE : 0) | (line[3] == 'x' ? PROT_EXEC : 0);
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
                return -errno; /* in a chroot, say: what is there can't be known */
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
                        if (parse_mapping(line, &mapping) && mapping.end > start && mapping.start < end)
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

        if (mmap((void *)start, end - start, mapping->protection,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
                range->r = -errno;
        return range->r == 0;
}

static uintptr_t round_to_pages(uintptr_t value) {
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

        return (value + page - 1) & ~(page - 1);
}

static int redirected_madvise(void *address, size_t length, int advice) {
        int r = (int)syscall(SYS_madvise, address, length, advice);

        if (r == 0 && (advice == MADV_DONTNEED || advice == DONTNEED_LOCKED || advice == GUARD_INSTALL)) {
                uintptr_t start = (uintptr_t)address;
                struct range range = { start, round_to_pages(start + length), 0 };
                int looked = for_each_frozen(range.start, range.end, put_zeros, &range);
                if (looked < 0 || range.r < 0) {
                        errno = looked < 0 ? -looked : -range.r;
                        return -1;
                }
                if (advice == GUARD_INSTALL) /* the zeros have taken the guards' place */
                        r = (int)syscall(SYS_madvise, address, length, advice);
        }
        return r;
}

static bool note_protection(const struct seen *mapping, void *data) {
        *(int *)data = mapping->protection;
        return false;
}

/* mremap(2) would add what follows in the file. */
static void *grow_by_copying(void *old, size_t old_size, size_t new_size, int flags, void *wanted, int protection) {
        int fixed = flags & MREMAP_FIXED ? MAP_FIXED : 0;

        if (!(flags & MREMAP_MAYMOVE)) {
                errno = ENOMEM;
                return MAP_FAILED;
        }
        void *grown = mmap(fixed ? wanted : NULL, new_size, protection | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
        if (grown == MAP_FAILED)
                return MAP_FAILED;
        if (!(protection & PROT_READ))
                mprotect(old, old_size, PROT_READ);
        memcpy(grown, old, old_size);
        if (!(protection & PROT_WRITE))
                mprotect(grown, new_size, protection);
        munmap(old, old_size);
        return grown;
}

static void *redirected_mremap(void *old, size_t old_size, size_t new_size, int flags, ...) {
        uintptr_t start = (uintptr_t)old, end = start + round_to_pages(old_size);
        int protection = -1;
        void *wanted = NULL;
        va_list list;

        va_start(list, flags);
        if (flags & MREMAP_FIXED)
                wanted = va_arg(list, void *);
        va_end(list);
        if (round_to_pages(new_size) > end - start)
                for_each_frozen(start, end, note_protection, &protection);
        if (protection >= 0)
                return grow_by_copying(old, end - start, round_to_pages(new_size), flags, wanted, protection);
        void *result = (void *)syscall(SYS_mremap, old, old_size, new_size, flags, wanted);
        if (result != old && result != MAP_FAILED && was_frozen(start, end)) {
                have_moved = true;
                if (flags & DONTUNMAP) /* what it leaves there is to be zeros */
                        redirected_madvise(old, old_size, MADV_DONTNEED);
        }
        return result;
}

static void *(*real_realloc)(void *, size_t);

/* Whether a block of glibc's malloc is a mapping of its own: a flag says so in the size that malloc keeps in the word
 * before the block. That is not for programs to read, but the only way to know; frozen memory is glibc's (memory.c). */
static bool is_mapping_of_malloc(const void *block) {
        enum { IS_MAPPED = 2 };
        size_t size;

        memcpy(&size, (const char *)block - sizeof size, sizeof size);
        return size & IS_MAPPED;
}

static void *redirected_realloc(void *old, size_t size) {
        size_t has = old ? malloc_usable_size(old) : 0;

        if (!old || size <= has || !was_frozen((uintptr_t)old, (uintptr_t)old + has) || !is_mapping_of_malloc(old))
                return real_realloc(old, size);
        void *grown = malloc(size);
        if (grown) {
                memcpy(grown, old, has);
                free(old);
        }
        return grown;
}

/* ---- in the zygote ---- */

#if defined(__x86_64__)
enum { JUMP_SLOT = R_X86_64_JUMP_SLOT, GLOBAL_DATA = R_X86_64_GLOB_DAT, ADDRESS = R_X86_64_64 };
#elif defined(__aarch64__)
enum { JUMP_SLOT = R_AARCH64_JUMP_SLOT, GLOBAL_DATA = R_AARCH64_GLOB_DAT, ADDRESS = R_AARCH64_ABS64 };
#else
enum { JUMP_SLOT = -1, GLOBAL_DATA = -1, ADDRESS = -1 };
#endif

/* These are found before the first object is looked at: this one is among the objects, and leads to the replacements
 * afterwards. */
static struct redirected_call {
        const char *name;
        uintptr_t original, replacement;
} redirected_calls[3];

/* By name: in a program that isn't position-independent the address of realloc is one of the program's own, with an
 * entry among those that are changed here. */
static bool find_realloc(void) {
        void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

        real_realloc = libc ? (void *(*)(void *, size_t))dlsym(libc, "realloc") : NULL;
        if (libc)
                dlclose(libc);
        return real_realloc;
}

static void find_calls(void) {
        redirected_calls[0] = (struct redirected_call){ "madvise", (uintptr_t)madvise, (uintptr_t)redirected_madvise };
        redirected_calls[1] = (struct redirected_call){ "mremap", (uintptr_t)mremap, (uintptr_t)redirected_mremap };
        redirected_calls[2] = (struct redirected_call){ "realloc", (uintptr_t)realloc, (uintptr_t)redirected_realloc };
}

static const struct redirected_call *find_call(const char *name) {
        for (size_t i = 0; i < sizeof redirected_calls / sizeof *redirected_calls; i++)
                if (strcmp(name, redirected_calls[i].name) == 0)
                        return &redirected_calls[i];
        return NULL;
}

struct table {
        const ElfW(Rela) *entries;
        size_t size; /* bytes */
};

struct object {
        uintptr_t base, relro, relro_end;
        const ElfW(Dyn) *dynamic;
        const ElfW(Sym) *symbols;
        const char *strings;
        struct table plt, other;
};

/* A table that is read-only since its relocation is made writable for the moment. */
static bool set_slot(const struct object *object, uintptr_t *slot, uintptr_t value) {
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)slot & ~(page - 1);
        bool is_protected = (uintptr_t)slot >= object->relro && (uintptr_t)slot < object->relro_end;

        if (is_protected && mprotect((void *)at, page, PROT_READ | PROT_WRITE) < 0)
                return false;
        *slot = value;
        return !is_protected || mprotect((void *)at, page, PROT_READ) == 0;
}

static bool redirect_table(const struct object *object, const struct table *table) {
        const ElfW(Rela) *entry = table->entries;

        for (size_t i = 0; entry && i < table->size / sizeof *entry; i++) {
                unsigned long type = ELF64_R_TYPE(entry[i].r_info);
                uintptr_t *slot = (uintptr_t *)(object->base + entry[i].r_offset);
                if (type != (unsigned long)JUMP_SLOT && type != (unsigned long)GLOBAL_DATA &&
                    type != (unsigned long)ADDRESS)
                        continue;
                const struct redirected_call *call =
                        find_call(object->strings + object->symbols[ELF64_R_SYM(entry[i].r_info)].st_name);
                if (!call || (type == (unsigned long)ADDRESS && *slot != call->original))
                        continue; /* with ADDRESS: a variable that has got another value since */
                if (!set_slot(object, slot, call->replacement))
                        return false;
        }
        return true;
}

/* The loader has made addresses of these offsets, except in objects whose dynamic section is read-only. */
static const void *table_at(const struct object *object, ElfW(Addr) value) {
        return (const void *)(value < object->base ? value + object->base : value);
}

static void read_headers(const struct dl_phdr_info *info, struct object *object) {
        for (int i = 0; i < info->dlpi_phnum; i++) {
                const ElfW(Phdr) *header = &info->dlpi_phdr[i];
                uintptr_t start = info->dlpi_addr + header->p_vaddr;
                if (header->p_type == PT_DYNAMIC)
                        object->dynamic = (const ElfW(Dyn) *)start;
                if (header->p_type == PT_GNU_RELRO) {
                        object->relro = start;
                        object->relro_end = start + header->p_memsz;
                }
        }
}

static void read_dynamic(struct object *object) {
        for (const ElfW(Dyn) *entry = object->dynamic; entry && entry->d_tag != DT_NULL; entry++)
                switch (entry->d_tag) {
                case DT_SYMTAB:
                        object->symbols = table_at(object, entry->d_un.d_ptr);
                        break;
                case DT_STRTAB:
                        object->strings = table_at(object, entry->d_un.d_ptr);
                        break;
                case DT_JMPREL:
                        object->plt.entries = table_at(object, entry->d_un.d_ptr);
                        break;
                case DT_PLTRELSZ:
                        object->plt.size = entry->d_un.d_val;
                        break;
                case DT_RELA:
                        object->other.entries = table_at(object, entry->d_un.d_ptr);
                        break;
                case DT_RELASZ:
                        object->other.size = entry->d_un.d_val;
                        break;
                default:
                        break;
                }
}

static int redirect_object(struct dl_phdr_info *info, size_t size, void *data) {
        struct object object = { .base = info->dlpi_addr };
        bool *good = data;

        (void)size;
        read_headers(info, &object);
        read_dynamic(&object);
        if (!object.symbols || !object.strings)
                return 0;
        if (!redirect_table(&object, &object.plt) || !redirect_table(&object, &object.other))
                *good = false;
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

const char *fsrv__redirect(const struct fsrv_run *frozen, size_t n) {
        bool dynamic = false, good = true;

        dl_iterate_phdr(is_dynamic, &dynamic);
        if (!dynamic || JUMP_SLOT < 0 || sizeof(void *) != 8)
                return dynamic ? "it is not known on this architecture"
                               : "the program is static: its calls of madvise cannot be redirected";
        if (!(places = malloc(n * sizeof *places + 1)))
                return "there is no memory for it";
        memcpy(places, frozen, n * sizeof *places);
        n_places = n;
        if (!find_realloc())
                return "it is not known with this C library";
        find_calls();
        dl_iterate_phdr(redirect_object, &good);
        return good ? NULL : "madvise could not be redirected";
}
