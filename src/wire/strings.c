/* SPDX-License-Identifier: MIT */
#include "wire/strings.h"

#include <errno.h>
#include <string.h>

size_t fsrv__strings_size(const char *const *list, size_t *ret_n) {
        size_t size = 0, n = 0;

        for (; list && list[n]; n++)
                size += strlen(list[n]) + 1;
        *ret_n = n;
        return size;
}

char *fsrv__string_put(char *at, const char *string) {
        size_t n = strlen(string) + 1;

        memcpy(at, string, n);
        return at + n;
}

char *fsrv__strings_put(char *at, const char *const *list) {
        for (; list && *list; list++)
                at = fsrv__string_put(at, *list);
        return at;
}

int fsrv__strings_get(const char **at, const char *end, size_t n, char **ret_strings) {
        const char *next = *at;

        for (size_t i = 0; i < n; i++) {
                const char *nul = next < end ? memchr(next, 0, (size_t)(end - next)) : NULL;
                if (!nul)
                        return -EPROTO;
                ret_strings[i] = (char *)next;
                next = nul + 1;
        }
        *at = next;
        return 0;
}
