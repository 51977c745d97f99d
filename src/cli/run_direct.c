/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "run_direct.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *cli_direct_find_conflict(const struct cli_target *target) {
        const struct fsrv_attributes none = { 0 };

        if (target->socket_path || target->server_uid != FSRV_UID_OWN)
                return "--direct runs without a server, so there is no --socket or --server-uid";
        if (target->timeout || target->kill_after || target->preload_timeout_ms)
                return "--direct has no time limits: a server would keep them; timeout(1) does that as well";
        if (target->trace)
                return "--direct spawns nothing, so there is no --trace: see strace(1) and perf(1)";
        if (target->memory)
                return "--direct freezes nothing, so there is no --memory: no process is forked";
        if (target->sandbox.text || target->sandbox.n_words || target->sandbox.learns)
                return "--direct has no sandbox: it would be that of the valgrind or debugger around it";
        if (memcmp(&target->attributes.of, &none, sizeof none) != 0)
                return "--direct sets no attributes: prlimit(1), nice(1), taskset(1) and setpriv(1) before it do";
        return NULL;
}

static int fail(uint32_t stage, int err, const char *module, const char *words) {
        struct fsrv_error error = { .err = err, .stage = stage };

        if (snprintf(error.text, sizeof error.text, "module '%s'%s", module, words) > 0)
                cli_complain_error(&error);
        return -err;
}

static void *load(uint32_t stage, const char *module) {
        char words[FSRV_ERROR_TEXT_SIZE];
        void *handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);

        if (!handle) {
                snprintf(words, sizeof words, ": %s", dlerror());
                fail(stage, ENOENT, module, words);
        }
        return handle;
}

/* dlsym(3) also finds a hook in what the module depends on, which is not this module's. */
static bool is_in(void *symbol, void *module) {
        struct link_map *where, *map;
        Dl_info info;

        return dladdr1(symbol, &info, (void **)&where, RTLD_DL_LINKMAP) && dlinfo(module, RTLD_DI_LINKMAP, &map) == 0 &&
               where == map;
}

/* As a zygote does: src/zygote/module.c. */
static int preload(const char *name) {
        char words[FSRV_ERROR_TEXT_SIZE];
        void *module = load(FSRV_STAGE_PRELOAD, name);
        void *symbol = module ? dlsym(module, "forkserver_preload") : NULL;
        int (*hook)(void) = NULL;

        if (!module)
                return -ENOENT;
        if (symbol && is_in(symbol, module))
                *(void **)&hook = symbol;
        int r = hook ? hook() : 0;
        if (r == 0)
                return 0;
        if (r > 0 && strerrorname_np(r))
                snprintf(words, sizeof words, ": its forkserver_preload(): %s", strerror(r));
        else
                snprintf(words, sizeof words, ": its forkserver_preload() returned %d", r);
        return fail(FSRV_STAGE_PRELOAD, EIO, name, words);
}

static void leave_quickly(int code, void *data) {
        (void)data;
        fflush(NULL);
        _exit(code);
}

/* Standard streams that were closed for us are closed for the process too. */
static void close_streams(void) {
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (cli_closed_streams & 1u << fd)
                        close(fd);
}

static int call(const struct cli_target *target, char **words) {
        int (*function)(int argc, char **argv, char **environment) = NULL;
        char *module = strdup(target->entry), *colon = module ? strrchr(module, ':') : NULL;
        char text[FSRV_ERROR_TEXT_SIZE];
        int n = 0;

        if (!colon)
                return CLI_EXIT_OURS; /* out of memory */
        *colon = 0;
        void *handle = load(FSRV_STAGE_ENTRY, module);
        if (handle) /* C has no other way to make a function of a pointer */
                *(void **)&function = dlsym(handle, colon + 1);
        if (handle && !function) {
                snprintf(text, sizeof text, " has no function '%s'", colon + 1);
                fail(FSRV_STAGE_ENTRY, ENOENT, module, text);
        }
        free(module);
        if (!function)
                return CLI_EXIT_OURS;
        while (words[n])
                n++;
        program_invocation_name = words[0];
        const char *slash = strrchr(words[0], '/');
        program_invocation_short_name = slash ? (char *)slash + 1 : words[0];
        if (target->quick_exit && on_exit(leave_quickly, NULL) != 0)
                return CLI_EXIT_OURS;
        close_streams();
        exit(function(n, words, environ));
}

int cli_direct_run(const struct cli_target *target, char **operands) {
        for (size_t i = 0; i < target->n_preload; i++)
                if (preload(target->preload[i]) < 0)
                        return CLI_EXIT_OURS;
        if (target->entry) {
                *--operands = (char *)target->entry;
                return call(target, operands);
        }
        close_streams();
        execvp(operands[0], operands);
        int err = errno;
        struct fsrv_error error = { .err = err, .stage = FSRV_STAGE_EXEC };
        snprintf(error.text, sizeof error.text, "executing '%s': %s", operands[0], strerror(err));
        cli_complain_error(&error);
        return cli_exit_code_of_error(&error);
}
