/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/sandbox.h"

/* What is added to a sandbox any number of times: paths, ports, mounts. */

/* Room for one more. 0 or -ENOMEM: the list is as it was. */
static int grow(void *list, size_t n, size_t size) {
        void *grown = reallocarray(*(void **)list, n + 1, size);

        if (!grown)
                return -ENOMEM;
        *(void **)list = grown;
        return 0;
}

/* *ret_path: a new string. */
static int make_absolute(const char *path, char **ret_path) {
        char here[PATH_MAX] = "";

        if (!path || !path[0])
                return -EINVAL;
        if (strlen(path) >= PATH_MAX)
                return -ENAMETOOLONG;
        if (path[0] != '/' && !getcwd(here, sizeof here))
                return -errno;
        char *absolute = malloc(strlen(here) + 1 + strlen(path) + 1);
        if (!absolute)
                return -ENOMEM;
        char *end = stpcpy(absolute, here);
        if (path[0] != '/')
                *end++ = '/';
        strcpy(end, path);
        *ret_path = absolute;
        return 0;
}

int fsrv_sandbox_add_path(struct fsrv_sandbox *sandbox, const char *path, uint32_t access) {
        uint32_t n = sandbox->head.n_paths;
        char *absolute;

        if (fsrv__sandbox_is_sealed(sandbox))
                return -EPERM;
        if (access & ~(FSRV_PATH_READ | FSRV_PATH_EXECUTE | FSRV_PATH_WRITE | FSRV_PATH_MAKE))
                return -EINVAL;
        if (n == FSRV_SANDBOX_PATHS_MAX)
                return -E2BIG;
        int r = make_absolute(path, &absolute);
        if (r < 0)
                return r;
        if (grow(&sandbox->paths, n, sizeof *sandbox->paths) < 0 ||
            grow(&sandbox->path_names, n, sizeof *sandbox->path_names) < 0) {
                free(absolute);
                return -ENOMEM;
        }
        sandbox->paths[n] = (struct fsrv__wire_path){ .access = access };
        sandbox->path_names[n] = absolute;
        sandbox->head.n_paths++;
        sandbox->head.flags |= FSRV_LOCK_FILES;
        return 0;
}

int fsrv_sandbox_add_port(struct fsrv_sandbox *sandbox, uint16_t port, uint32_t access) {
        uint32_t n = sandbox->head.n_ports;

        if (fsrv__sandbox_is_sealed(sandbox))
                return -EPERM;
        if (access == 0 || access & ~(FSRV_PORT_CONNECT | FSRV_PORT_BIND))
                return -EINVAL;
        if (n == FSRV_SANDBOX_PORTS_MAX)
                return -E2BIG;
        if (grow(&sandbox->ports, n, sizeof *sandbox->ports) < 0)
                return -ENOMEM;
        sandbox->ports[n] = (struct fsrv__wire_port){ .port = port, .access = (uint16_t)access };
        sandbox->head.n_ports++;
        sandbox->head.flags |= FSRV_LOCK_TCP;
        return 0;
}

static bool is_mount(enum fsrv_mount kind, const char *source, const char *target) {
        bool is_bind = kind == FSRV_MOUNT_BIND || kind == FSRV_MOUNT_BIND_READ_ONLY;

        return kind >= FSRV_MOUNT_BIND && kind <= FSRV_MOUNT_READ_ONLY && is_bind == (source != NULL) && target &&
               target[0] == '/' && !fsrv__path_has_dots(target);
}

/* Takes names[0] and names[1] over. */
static int append_mount(struct fsrv_sandbox *sandbox, enum fsrv_mount kind, char *names[2]) {
        uint32_t n = sandbox->head.n_mounts;

        if (!names[0] || !names[1] || grow(&sandbox->mounts, n, sizeof *sandbox->mounts) < 0 ||
            grow(&sandbox->mount_names, n, 2 * sizeof *names) < 0) {
                free(names[0]);
                free(names[1]);
                return -ENOMEM;
        }
        sandbox->mounts[n] = (struct fsrv__wire_mount){ .kind = kind };
        memcpy(sandbox->mount_names + 2 * n, names, 2 * sizeof *names);
        sandbox->head.n_mounts++;
        return 0;
}

int fsrv_sandbox_add_mount(struct fsrv_sandbox *sandbox, enum fsrv_mount kind, const char *source, const char *target) {
        char *names[2] = { NULL, NULL };
        int r = 0;

        if (fsrv__sandbox_is_sealed(sandbox))
                return -EPERM;
        if (!is_mount(kind, source, target))
                return -EINVAL;
        if (sandbox->head.n_mounts == FSRV_SANDBOX_MOUNTS_MAX)
                return -E2BIG;
        if (strlen(target) >= PATH_MAX)
                return -ENAMETOOLONG;
        if (source)
                r = make_absolute(source, &names[0]);
        else
                names[0] = strdup("");
        names[1] = r < 0 ? NULL : strdup(target);
        return r < 0 ? r : append_mount(sandbox, kind, names);
}
