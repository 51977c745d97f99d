/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/symbols.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The loader has made addresses of these offsets, except in objects whose dynamic section is read-only. */
static const void *table_at(uintptr_t base, ElfW(Addr) value) {
        return (const void *)(value < base ? value + base : value);
}

void fsrv__symbols_init(void *handle, struct fsrv__symbols *ret_symbols) {
        struct link_map *map;

        *ret_symbols = (struct fsrv__symbols){ 0 };
        if (dlinfo(handle, RTLD_DI_LINKMAP, &map) < 0)
                return;
        ret_symbols->base = map->l_addr;
        for (const ElfW(Dyn) *entry = map->l_ld; entry && entry->d_tag != DT_NULL; entry++)
                switch (entry->d_tag) {
                case DT_GNU_HASH:
                        ret_symbols->hash = table_at(map->l_addr, entry->d_un.d_ptr);
                        break;
                case DT_SYMTAB:
                        ret_symbols->symbols = table_at(map->l_addr, entry->d_un.d_ptr);
                        break;
                case DT_VERSYM:
                        ret_symbols->versions = table_at(map->l_addr, entry->d_un.d_ptr);
                        break;
                case DT_STRTAB:
                        ret_symbols->strings = table_at(map->l_addr, entry->d_un.d_ptr);
                        break;
                default:
                        break;
                }
        if (!ret_symbols->symbols || !ret_symbols->strings)
                ret_symbols->hash = NULL;
}

static uint32_t hash_of(const char *name) {
        uint32_t hash = 5381;

        for (; *name; name++)
                hash = hash * 33 + (unsigned char)*name;
        return hash;
}

/* NULL for an indirect function, which has to be called for its address, and for a version that isn't the default:
 * dlsym(3) knows about these. */
static void *address_of(const struct fsrv__symbols *symbols, uint32_t index) {
        enum { NOT_DEFAULT = 0x8000 };
        const ElfW(Sym) *symbol = &symbols->symbols[index];

        if ((symbol->st_info & 15) != STT_FUNC || symbol->st_shndx == SHN_UNDEF)
                return NULL;
        if (symbols->versions && symbols->versions[index] & NOT_DEFAULT)
                return NULL;
        return (void *)(symbols->base + symbol->st_value);
}

/* A mangled name is "_Z", "N" for a name within others, and then each of these, from the outermost on, after its
 * length. */
static bool is_mangled_from(const char *mangled, const char *name) {
        const char *at = mangled + 2, *last = "";
        size_t n = 0;

        if (strncmp(mangled, "_Z", 2) != 0)
                return false;
        at += *at == 'N';
        while (*at >= '1' && *at <= '9') {
                n = strtoul(at, (char **)&last, 10);
                if (strnlen(last, n) < n)
                        return false;
                at = last + n;
        }
        return n > 0 && strlen(name) == n && strncmp(last, name, n) == 0;
}

const char *fsrv__symbols_find_mangled(const struct fsrv__symbols *symbols, const char *name) {
        const uint32_t *table = symbols->hash;

        if (!table)
                return NULL;
        const uint32_t *buckets = table + 4 + table[2] * (sizeof(ElfW(Addr)) / sizeof *table),
                       *hashes = buckets + table[0];
        for (uint32_t i = 0; i < table[0]; i++)
                for (uint32_t index = buckets[i]; index >= table[1]; index++) {
                        const char *other = symbols->strings + symbols->symbols[index].st_name;
                        if (address_of(symbols, index) && is_mangled_from(other, name))
                                return other;
                        if (hashes[index - table[1]] & 1)
                                break;
                }
        return NULL;
}

/* The table: number of buckets, first symbol, words of the Bloom filter, its shift; filter, buckets, and a hash for
 * each symbol, whose lowest bit says that it is its bucket's last. */
void *fsrv__symbols_find(const struct fsrv__symbols *symbols, const char *name) {
        const uint32_t *table = symbols->hash, hash = hash_of(name);

        if (!table || table[0] == 0)
                return NULL;
        const uint32_t *buckets = table + 4 + table[2] * (sizeof(ElfW(Addr)) / sizeof *table),
                       *hashes = buckets + table[0];
        uint32_t index = buckets[hash % table[0]];
        for (; index >= table[1]; index++) {
                uint32_t other = hashes[index - table[1]];
                if ((other | 1) == (hash | 1) && strcmp(symbols->strings + symbols->symbols[index].st_name, name) == 0)
                        return address_of(symbols, index);
                if (other & 1)
                        break;
        }
        return NULL;
}
