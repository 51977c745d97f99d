/* SPDX-License-Identifier: MIT */
#include "wire/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/strings.h"

int fsrv_config_encode(struct fsrv_config *config, char bytes[FSRV_WIRE_MESSAGE_MAX]) {
        size_t n, size = fsrv_strings_size((const char *const *)config->modules, &n);
        size_t path = config->path ? strlen(config->path) + 1 : 0;

        if (size > FSRV_WIRE_PRELOAD_MAX || sizeof config->head + path + size > FSRV_WIRE_MESSAGE_MAX)
                return -E2BIG;
        config->head.version = FSRV_WIRE_VERSION;
        config->head.named = config->path != NULL;
        config->head.n_modules = (uint32_t)n;
        memcpy(bytes, &config->head, sizeof config->head);
        char *at = bytes + sizeof config->head;
        if (config->path)
                at = fsrv_string_put(at, config->path);
        at = fsrv_strings_put(at, (const char *const *)config->modules);
        return (int)(at - bytes);
}

int fsrv_config_decode(const void *bytes, size_t size, struct fsrv_config *ret_config) {
        struct fsrv_config config = { 0 };

        if (size < sizeof config.head.version)
                return -EPROTO;
        memcpy(&config.head.version, bytes, sizeof config.head.version);
        if (config.head.version != FSRV_WIRE_VERSION)
                return -EPROTONOSUPPORT;
        if (size < sizeof config.head)
                return -EPROTO;
        memcpy(&config.head, bytes, sizeof config.head);
        if (config.head.n_modules > FSRV_WIRE_PRELOAD_MAX || config.head.n_uids > FSRV_WIRE_UIDS_MAX ||
            config.head.named > 1)
                return -EPROTO;

        size_t n_strings = config.head.n_modules + config.head.named, rest = size - sizeof config.head;
        char **list = malloc((n_strings + 1) * sizeof *list + rest);
        if (!list)
                return -ENOMEM;
        const char *at = memcpy(list + n_strings + 1, (const char *)bytes + sizeof config.head, rest), *end = at + rest;
        if (fsrv_strings_get(&at, end, n_strings, list) < 0 || at != end) {
                free(list);
                return -EPROTO;
        }
        list[n_strings] = NULL;
        config.memory = list;
        if (config.head.named)
                config.path = *list++;
        config.modules = list;
        *ret_config = config;
        return 0;
}

void fsrv_config_done(struct fsrv_config *config) {
        free(config->memory);
        *config = (struct fsrv_config){ 0 };
}
