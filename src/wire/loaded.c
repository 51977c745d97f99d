/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "wire/loaded.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/messages.h"
#include "wire/strings.h"

static bool fits_message(size_t size, size_t more) {
        return more <= FSRV_WIRE_MESSAGE_MAX - size;
}

void fsrv__loaded_begin(char bytes[FSRV_WIRE_MESSAGE_MAX], size_t *ret_size, int err, const char *failure) {
        struct fsrv__wire_loaded head = { .type = FSRV_WIRE_LOADED, .err = err };

        memcpy(bytes, &head, sizeof head);
        *ret_size = (size_t)(fsrv__string_put(bytes + sizeof head, failure) - bytes);
}

void fsrv__loaded_add_thread(char bytes[FSRV_WIRE_MESSAGE_MAX], size_t *size, const char *name) {
        struct fsrv__wire_loaded *head = (void *)bytes;

        if (!fits_message(*size, strlen(name) + 1))
                return;
        *size = (size_t)(fsrv__string_put(bytes + *size, name) - bytes);
        head->n_threads++;
}

void fsrv__loaded_add_fd(char bytes[FSRV_WIRE_MESSAGE_MAX], size_t *size, int fd, const char *kind, const char *what) {
        struct fsrv__wire_loaded *head = (void *)bytes;
        char number[16];

        snprintf(number, sizeof number, "%d", fd);
        if (!fits_message(*size, strlen(number) + strlen(kind) + strlen(what) + 3))
                return;
        char *at = fsrv__string_put(bytes + *size, number);
        at = fsrv__string_put(at, kind);
        *size = (size_t)(fsrv__string_put(at, what) - bytes);
        head->n_fds++;
}

int fsrv__loaded_decode(char *bytes, size_t size, struct fsrv__loaded *ret_loaded) {
        struct fsrv__loaded loaded;
        int r = fsrv__message_check(FSRV_TABLE_FROM_ZYGOTE, bytes, size);

        if (r < 0)
                return r;
        memcpy(&loaded.head.type, bytes, sizeof loaded.head.type);
        if (loaded.head.type != FSRV_WIRE_LOADED)
                return -EPROTO;
        memcpy(&loaded.head, bytes, sizeof loaded.head);
        /* Each string has at least its NUL, so memory for a count that cannot fit is never asked for. */
        uint64_t n_strings = (uint64_t)loaded.head.n_threads + 3 * (uint64_t)loaded.head.n_fds;
        if (n_strings > size)
                return -EPROTO;
        char **list = calloc(n_strings + 1, sizeof *list);
        if (!list)
                return -ENOMEM;
        const char *at = bytes + sizeof loaded.head, *end = bytes + size;
        if (fsrv__strings_get(&at, end, 1, &loaded.failure) < 0 || fsrv__strings_get(&at, end, n_strings, list) < 0 ||
            at != end) {
                free(list);
                return -EPROTO;
        }
        loaded.memory = loaded.threads = list;
        loaded.fds = (void *)(list + loaded.head.n_threads);
        *ret_loaded = loaded;
        return 0;
}

void fsrv__loaded_done(struct fsrv__loaded *loaded) {
        free(loaded->memory);
        loaded->memory = NULL;
}
