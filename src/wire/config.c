/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "wire/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "forkserver.h"
#include "wire/messages.h"
#include "wire/strings.h"

char **fsrv__program_argv;

bool fsrv__config_has_program(const struct fsrv__config *config) {
        for (char **module = config->modules; module && *module; module++)
                if (strcmp(*module, FSRV_PRELOAD_MAIN) == 0)
                        return true;
        return false;
}

int fsrv__config_encode(struct fsrv__config *config, char bytes[FSRV_WIRE_MESSAGE_MAX]) {
        const char *const *argv = (const char *const *)config->argv;
        size_t n, size = fsrv__strings_size((const char *const *)config->modules, &n);
        size_t n_argv, argv_size = fsrv__strings_size(argv, &n_argv),
                       path = config->path ? strlen(config->path) + 1 : 0;

        if (fsrv__config_has_program(config) && n_argv == 0)
                return -EINVAL;
        if (size > FSRV_WIRE_PRELOAD_MAX || sizeof config->head + path + argv_size + size > FSRV_WIRE_MESSAGE_MAX)
                return -E2BIG;
        config->head.version = FSRV_WIRE_VERSION;
        config->head.type = FSRV_WIRE_ADMIN_CONFIG;
        config->head.named = config->path != NULL;
        config->head.n_argv = (uint32_t)n_argv;
        config->head.n_modules = (uint32_t)n;
        memcpy(bytes, &config->head, sizeof config->head);
        char *at = bytes + sizeof config->head;
        if (config->path)
                at = fsrv__string_put(at, config->path);
        at = fsrv__strings_put(at, argv);
        at = fsrv__strings_put(at, (const char *const *)config->modules);
        return (int)(at - bytes);
}

int fsrv__config_decode(const void *bytes, size_t size, struct fsrv__config *ret_config) {
        struct fsrv__config config = { 0 };
        int r = fsrv__message_check(FSRV_TABLE_NEW_ZYGOTE, bytes, size);

        if (r < 0)
                return r;
        memcpy(&config.head, bytes, sizeof config.head);
        if (config.head.n_modules > FSRV_WIRE_PRELOAD_MAX || config.head.n_argv > FSRV_WIRE_MESSAGE_MAX ||
            config.head.n_uids > FSRV_WIRE_UIDS_MAX || config.head.named > 1 || config.head.has_data > 1 ||
            config.head.has_output > 1 || config.head.as_sender > 1 || config.head.entries_only > 1 ||
            config.head.has_sandbox > 1 || config.head.options & ~(uint32_t)FSRV_WIRE_OPTIONS)
                return -EPROTO;

        size_t n_argv = config.head.n_argv, n_modules = config.head.n_modules, rest = size - sizeof config.head;
        size_t n_room = 1 + n_argv + 1 + n_modules + 1; /* the path, and two lists with their ends */
        char **list = calloc(1, n_room * sizeof *list + rest);
        if (!list)
                return -ENOMEM;
        const char *at = memcpy(list + n_room, (const char *)bytes + sizeof config.head, rest), *end = at + rest;
        char **argv = list + 1, **modules = argv + n_argv + 1;
        if (fsrv__strings_get(&at, end, config.head.named, list) < 0 || fsrv__strings_get(&at, end, n_argv, argv) < 0 ||
            fsrv__strings_get(&at, end, n_modules, modules) < 0 || at != end) {
                free(list);
                return -EPROTO;
        }
        config.memory = list;
        config.path = list[0];
        config.argv = n_argv ? argv : NULL;
        config.modules = modules;
        *ret_config = config;
        return 0;
}

void fsrv__config_done(struct fsrv__config *config) {
        free(config->memory);
        *config = (struct fsrv__config){ 0 };
}
