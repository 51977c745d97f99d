/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "wire/sandbox_codec.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "wire/strings.h"

enum {
        FILTER_SIZE = 8, /* of an instruction */
        NAMESPACES = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
        GROUPS = (FSRV_REFUSE_FORK << 1) - 1,
        PATHS = FSRV_PATH_READ | FSRV_PATH_EXECUTE | FSRV_PATH_WRITE | FSRV_PATH_MAKE | FSRV_WIRE_PATH_OPTIONAL,
        PORTS = FSRV_PORT_CONNECT | FSRV_PORT_BIND,
        LIMITS = (1 << FSRV_SANDBOX_LIMITS) - 1,
};

struct sizes {
        size_t filter, ports, paths, mounts, lists;
};

static struct sizes sizes_of(const struct fsrv__wire_sandbox *head) {
        struct sizes sizes = { .filter = (size_t)head->n_filter * FILTER_SIZE,
                               .ports = head->n_ports * sizeof(struct fsrv__wire_port),
                               .paths = head->n_paths * sizeof(struct fsrv__wire_path),
                               .mounts = head->n_mounts * sizeof(struct fsrv__wire_mount) };

        sizes.lists = sizes.filter + sizes.ports + sizes.paths + sizes.mounts;
        return sizes;
}

/* ---- encoding ---- */

static size_t size_of_strings(char *const *strings, size_t n) {
        size_t size = 0;

        for (size_t i = 0; i < n; i++)
                size += strlen(strings[i]) + 1;
        return size;
}

static char *put_bytes(char *at, const void *bytes, size_t n) {
        if (n > 0)
                memcpy(at, bytes, n);
        return at + n;
}

static char *put_strings(char *at, char *const *strings, size_t n) {
        for (size_t i = 0; i < n; i++)
                at = fsrv__string_put(at, strings[i]);
        return at;
}

int fsrv__sandbox_encode(struct fsrv__sandbox_parts *parts, char **ret_bytes, size_t *ret_size) {
        struct fsrv__wire_sandbox *head = &parts->head;
        struct sizes sizes = sizes_of(head);
        size_t size = sizeof *head + sizes.lists + strlen(parts->profile) + 1 +
                      size_of_strings(parts->path_names, head->n_paths) +
                      size_of_strings(parts->mount_names, 2 * (size_t)head->n_mounts);

        if (size > FSRV_SANDBOX_MAX)
                return -E2BIG;
        char *bytes = malloc(size);
        if (!bytes)
                return -ENOMEM;
        head->version = FSRV_SANDBOX_VERSION;
        char *at = put_bytes(bytes, head, sizeof *head);
        at = put_bytes(at, parts->filter, sizes.filter);
        at = put_bytes(at, parts->ports, sizes.ports);
        at = put_bytes(at, parts->paths, sizes.paths);
        at = put_bytes(at, parts->mounts, sizes.mounts);
        at = fsrv__string_put(at, parts->profile);
        at = put_strings(at, parts->path_names, head->n_paths);
        put_strings(at, parts->mount_names, 2 * (size_t)head->n_mounts);
        *ret_bytes = bytes;
        *ret_size = size;
        return 0;
}

/* ---- decoding ---- */

static int check_head(const struct fsrv__wire_sandbox *head) {
        bool is_known = (head->flags & ~(uint32_t)FSRV_LOCK_FLAGS) == 0 && (head->refused & ~(uint32_t)GROUPS) == 0 &&
                        (head->namespaces & ~(uint32_t)NAMESPACES) == 0 && (head->limits & ~(uint32_t)LIMITS) == 0 &&
                        (head->limits_above & ~head->limits) == 0;

        if (!is_known || head->n_filter > FSRV_SANDBOX_FILTER_MAX || head->n_ports > FSRV_SANDBOX_PORTS_MAX ||
            head->n_paths > FSRV_SANDBOX_PATHS_MAX || head->n_mounts > FSRV_SANDBOX_MOUNTS_MAX)
                return -EPROTO;
        return 0;
}

/* Has the lists point to copies of them, which are aligned, and to tables of strings; all in parts->memory. */
static int copy_lists(const char *bytes, struct fsrv__sandbox_parts *parts, char ***ret_strings) {
        const struct fsrv__wire_sandbox *head = &parts->head;
        struct sizes sizes = sizes_of(head);
        size_t n_strings = 1 + head->n_paths + 2 * (size_t)head->n_mounts;
        char *memory = calloc(1, n_strings * sizeof(char *) + sizes.lists);

        if (!memory)
                return -ENOMEM;
        char **strings = (char **)memory, *at = memory + n_strings * sizeof(char *);
        memcpy(at, bytes + sizeof *head, sizes.lists);
        parts->memory = memory;
        parts->filter = at;
        parts->ports = (void *)(at += sizes.filter);
        parts->paths = (void *)(at += sizes.ports);
        parts->mounts = (void *)(at + sizes.paths);
        parts->path_names = strings + 1;
        parts->mount_names = strings + 1 + head->n_paths;
        *ret_strings = strings;
        return 0;
}

bool fsrv__path_has_dots(const char *path) {
        for (const char *at = path; (at = strstr(at, "..")); at += 2)
                if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == 0))
                        return true;
        return false;
}

static int check_mount(const struct fsrv__wire_mount *mount, const char *source, const char *target) {
        bool has_source = mount->kind == FSRV_MOUNT_BIND || mount->kind == FSRV_MOUNT_BIND_READ_ONLY;

        if (mount->kind < FSRV_MOUNT_BIND || mount->kind > FSRV_MOUNT_READ_ONLY || target[0] != '/' ||
            fsrv__path_has_dots(target))
                return -EPROTO;
        return source[0] == (has_source ? '/' : 0) ? 0 : -EPROTO;
}

static int check_lists(const struct fsrv__sandbox_parts *parts) {
        int r = 0;

        for (uint32_t i = 0; i < parts->head.n_ports; i++)
                if (parts->ports[i].access == 0 || parts->ports[i].access & ~PORTS)
                        return -EPROTO;
        for (uint32_t i = 0; i < parts->head.n_paths; i++)
                if (parts->paths[i].access & ~(uint32_t)PATHS || parts->path_names[i][0] != '/')
                        return -EPROTO;
        for (uint32_t i = 0; i < parts->head.n_mounts && r == 0; i++)
                r = check_mount(&parts->mounts[i], parts->mount_names[2 * i], parts->mount_names[2 * i + 1]);
        return r;
}

int fsrv__sandbox_decode(const void *bytes, size_t size, struct fsrv__sandbox_parts *ret_parts) {
        struct fsrv__sandbox_parts parts = { 0 };
        char **strings;

        if (size < sizeof parts.head || size > FSRV_SANDBOX_MAX)
                return -EPROTO;
        memcpy(&parts.head, bytes, sizeof parts.head);
        if (parts.head.version != FSRV_SANDBOX_VERSION)
                return -EPROTONOSUPPORT;
        int r = check_head(&parts.head);
        size_t lists = r < 0 ? 0 : sizes_of(&parts.head).lists;
        if (r < 0 || lists > size - sizeof parts.head)
                return -EPROTO;
        if ((r = copy_lists(bytes, &parts, &strings)) < 0)
                return r;
        const char *at = (const char *)bytes + sizeof parts.head + lists, *end = (const char *)bytes + size;
        size_t n_strings = 1 + parts.head.n_paths + 2 * (size_t)parts.head.n_mounts;
        r = fsrv__strings_get(&at, end, n_strings, strings);
        parts.profile = strings[0];
        if (r < 0 || at != end || (r = check_lists(&parts)) < 0) {
                fsrv__sandbox_parts_done(&parts);
                return -EPROTO;
        }
        *ret_parts = parts;
        return 0;
}

int fsrv__sandbox_namespaces(const struct fsrv__sandbox_parts *parts) {
        bool mounts = parts->head.n_mounts > 0 || parts->head.flags & FSRV_LOCK_NO_ROOT;

        return (int)parts->head.namespaces | (mounts ? CLONE_NEWNS : 0);
}

void fsrv__sandbox_parts_done(struct fsrv__sandbox_parts *parts) {
        free(parts->memory);
        *parts = (struct fsrv__sandbox_parts){ 0 };
}
