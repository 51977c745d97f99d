/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/layout.h"
#include "zygote/entries.h"
#include "zygote/symbols.h"

/* The module host: modules are shared objects, and an entry point is a function in one of them, or, without a module's
 * name, one of the program itself (entries.c). */

typedef int (*main_function)(int argc, char **argv, char **environment);
FSRV__WORKER_VARIABLE static main_function entry_function;
FSRV__WORKER_VARIABLE static const struct fsrv_entry *program_entry;

FSRV__WORKER_VARIABLE static bool is_restricted;

void fsrv__module_restrict(void) {
        is_restricted = true;
}

/* What was preloaded, by the names in the preload list. (dlopen(3) would find it again, after writing to a dozen of the
 * loader's pages.) */
struct module {
        const char *name;
        void *handle;
        struct fsrv__symbols symbols;
};
static struct module *preloaded;
static size_t n_preloaded;

static void remember_module(const char *name, void *handle) {
        void *grown = realloc(preloaded, (n_preloaded + 1) * sizeof *preloaded);

        if (!grown)
                return;
        preloaded = grown;
        struct module *module = &preloaded[n_preloaded++];
        module->name = name; /* of the configuration, which stays */
        module->handle = handle;
        fsrv__symbols_init(handle, &module->symbols);
}

/* A relative path counts from the caller's directory, in which the worker is by now. */
static const struct module *find_preloaded(const char *name, size_t n) {
        bool is_relative = name[0] != '/' && memchr(name, '/', n);
        char here[PATH_MAX] = "";
        size_t length = 0;

        if (is_relative) {
                if (!getcwd(here, sizeof here))
                        return NULL;
                for (; n > 2 && strncmp(name, "./", 2) == 0; name += 2) /* as in the client */
                        n -= 2;
                length = here[1] ? strlen(here) : 0; /* of the root nothing but the '/' */
                here[length++] = '/';
        }
        for (size_t i = 0; i < n_preloaded; i++) {
                const char *known = preloaded[i].name;

                if (strncmp(known, here, length) == 0 && strncmp(known + length, name, n) == 0 && !known[length + n])
                        return &preloaded[i];
        }
        return NULL;
}

/* dlsym(3) also finds a hook in what the module depends on, which is not this module's. */
static bool is_in(void *symbol, void *module) {
        struct link_map *where, *map;
        Dl_info info;

        return dladdr1(symbol, &info, (void **)&where, RTLD_DL_LINKMAP) && dlinfo(module, RTLD_DI_LINKMAP, &map) == 0 &&
               where == map;
}

static int preload_hook(void *module, const char *name, struct fsrv_error *error) {
        void *symbol = dlsym(module, "forkserver_preload");
        int (*hook)(void) = symbol && is_in(symbol, module) ? (int (*)(void))symbol : NULL;

        if (!hook)
                return 0;
        int r = hook();
        if (r == 0)
                return 0;
        if (r > 0 && strerrorname_np(r))
                return fsrv__fail(error, FSRV_STAGE_PRELOAD, r, "module '%s': its forkserver_preload()", name);
        return fsrv__fail_text(error, FSRV_STAGE_PRELOAD, EIO, "module '%s': its forkserver_preload() returned %d",
                               name, r);
}

/* dlerror() has only words. For a file that isn't there, or isn't of this machine, there is an errno. */
static int errno_of_words(const char *words) {
        if (strstr(words, "No such file"))
                return ENOENT;
        if (strstr(words, "invalid ELF header") || strstr(words, "file too short") || strstr(words, "wrong ELF class"))
                return ELIBBAD;
        return EIO;
}

/* dlopen(3) looks for a name without a slash where libraries are installed, not in the working directory. */
static int explain_load_failure(uint32_t stage, const char *name, struct fsrv_error *error) {
        const char *words = dlerror();
        int err = errno_of_words(words);

        if (err == ENOENT && !strchr(name, '/') && access(name, F_OK) == 0)
                return fsrv__fail_text(error, stage, err,
                                       "module '%s' is not an installed library; the file in this directory is './%s'",
                                       name, name);
        if (strstr(words, "cannot dynamically load")) /* a position-independent executable, or another */
                return fsrv__fail_text(error, stage, err,
                                       "module '%s' is a program; a module is a shared object (cc -shared -fPIC)",
                                       name);
        return fsrv__fail_text(error, stage, err, "module '%s': %s", name, words);
}

static int module_preload(const char *name, struct fsrv_error *error) {
        if (strcmp(name, FSRV_PRELOAD_MAIN) == 0 && fsrv__entries_are_set())
                return 0; /* the program has run up to here */
        void *module = dlopen(name, RTLD_NOW | RTLD_LOCAL);

        if (!module)
                return explain_load_failure(FSRV_STAGE_PRELOAD, name, error);
        remember_module(name, module);
        return preload_hook(module, name, error); /* if it fails, the module stays loaded: constructors have run */
}

static void *load_for_entry(const char *entry, size_t n, struct fsrv_error *error) {
        char *name = strndup(entry, n);
        void *module = name ? dlopen(name, RTLD_NOW | RTLD_LOCAL) : NULL;

        if (!name)
                fsrv__fail(error, FSRV_STAGE_ENTRY, ENOMEM, "entry point '%s'", entry);
        else if (!module)
                explain_load_failure(FSRV_STAGE_ENTRY, name, error);
        free(name);
        return module;
}

static bool module_loads(const char *entry) {
        const char *colon = strrchr(entry, ':');

        return colon && colon > entry && !find_preloaded(entry, (size_t)(colon - entry));
}

static bool is_variable(void *symbol) {
        const ElfW(Sym) *entry = NULL;
        Dl_info info;

        return dladdr1(symbol, &info, (void **)&entry, RTLD_DL_SYMENT) && entry && info.dli_saddr == symbol &&
               (entry->st_info & 15) == STT_OBJECT;
}

/* The symbol is what dlsym(3) found. */
static int explain_missing_entry(void *handle, const char *entry, int n, void *symbol, struct fsrv_error *error) {
        const char *function = entry + n + 1;
        struct fsrv__symbols symbols;

        if (symbol)
                return fsrv__fail_text(error, FSRV_STAGE_ENTRY, EINVAL,
                                       "module '%.*s': '%s' is a variable, not a function", n, entry, function);
        fsrv__symbols_init(handle, &symbols);
        const char *mangled = fsrv__symbols_find_mangled(&symbols, function);
        if (mangled)
                return fsrv__fail_text(
                        error, FSRV_STAGE_ENTRY, ENOENT,
                        "module '%.*s' has the C++ function '%s' as '%s'; extern \"C\" before it keeps its "
                        "name",
                        n, entry, function, mangled);
        return fsrv__fail_text(error, FSRV_STAGE_ENTRY, ENOENT, "module '%.*s' has no function '%s'", n, entry,
                               function);
}

static int module_find(const char *entry, struct fsrv_error *error) {
        const char *colon = strrchr(entry, ':');

        if (entry[0] == ':')
                return fsrv__entries_find(entry + 1, &program_entry, error);
        if (!colon)
                return fsrv__fail(error, FSRV_STAGE_ENTRY, EINVAL, "entry point '%s'", entry);
        size_t n = (size_t)(colon - entry);
        const struct module *module = find_preloaded(entry, n);
        void *handle;
        if (module) {
                entry_function = (main_function)fsrv__symbols_find(&module->symbols, colon + 1);
                if (entry_function)
                        return 0;
                handle = module->handle;
        } else {
                handle = load_for_entry(entry, n, error);
        }
        if (!handle)
                return -error->err;
        void *symbol = dlsym(handle, colon + 1);
        if (is_restricted && symbol && !is_in(symbol, handle))
                symbol = NULL;
        if (!symbol || is_variable(symbol))
                return explain_missing_entry(handle, entry, (int)n, symbol, error);
        entry_function = (main_function)symbol;
        return 0;
}

static int module_run(int argc, char **argv, char **environment) {
        if (program_entry)
                return program_entry->function(argc, argv);
        return entry_function(argc, argv, environment);
}

const struct fsrv_host fsrv__module_host = {
        .preload = module_preload,
        .loads = module_loads,
        .find = module_find,
        .run = module_run,
};
