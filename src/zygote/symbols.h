/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_SYMBOLS_H
#define FSRV_ZYGOTE_SYMBOLS_H

/* The functions of a loaded object, found by reading alone: dlsym(3) takes locks and allocates, which in a new process
 * is a page fault for each thing that it writes to. */

#include <elf.h>
#include <link.h>
#include <stdint.h>

struct fsrv__symbols {
        uintptr_t base;
        const uint32_t *hash; /* DT_GNU_HASH; NULL: nothing can be found */
        const ElfW(Sym) *symbols;
        const ElfW(Half) *versions; /* NULL: none */
        const char *strings;
};

/* What dlopen(3) returned. */
void fsrv__symbols_init(void *handle, struct fsrv__symbols *ret_symbols);

/* A plain function that the object itself defines. NULL: there may be one all the same, which dlsym(3) knows. */
void *fsrv__symbols_find(const struct fsrv__symbols *symbols, const char *name);

/* The C++ function of that name, as the linker knows it: with the kinds of its arguments. NULL: none. */
const char *fsrv__symbols_find_mangled(const struct fsrv__symbols *symbols, const char *name);

#endif
