/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_SANDBOX_CODEC_H
#define FSRV_WIRE_SANDBOX_CODEC_H

/* A sandbox as bytes and as a struct; no I/O. The client makes it, and the zygote of that sandbox locks itself in as it
 * says. Two sandboxes with the same bytes are the same one. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "forkserver.h"

#define FSRV_SANDBOX_VERSION    0x46530002 /* a change of what follows is another one */
#define FSRV_SANDBOX_MAX        60000      /* bytes in all */
#define FSRV_SANDBOX_PATHS_MAX  512
#define FSRV_SANDBOX_PORTS_MAX  512
#define FSRV_SANDBOX_MOUNTS_MAX 256
#define FSRV_SANDBOX_FILTER_MAX 4096 /* instructions: BPF_MAXINSNS of the kernel */

enum {
        FSRV_LOCK_STRICT = 1u << 0,  /* what cannot be enforced is an error */
        FSRV_LOCK_FILES = 1u << 1,   /* no file but those of the paths (landlock) */
        FSRV_LOCK_TCP = 1u << 2,     /* no TCP port but those of the ports (landlock) */
        FSRV_LOCK_SCOPES = 1u << 3,  /* no signals and abstract sockets to processes outside, siblings among them */
        FSRV_LOCK_KILLS = 1u << 4,   /* a refused system call kills the process; else it fails with EPERM */
        FSRV_LOCK_MDWE = 1u << 5,    /* no memory becomes executable that was writable */
        FSRV_LOCK_PROGRAM = 1u << 6, /* the zygote of programs: execve(2) is not among the refused calls */
        FSRV_LOCK_SPAWNS = 1u << 7,  /* workers may spawn, into the same sandbox */
        FSRV_LOCK_NO_ROOT = 1u << 8, /* there is a new root; it has the mounts alone */
        FSRV_LOCK_NO_CAPABILITIES = 1u << 9, /* capabilities are dropped, but those that change ids */
        FSRV_LOCK_APART = 1u << 10,          /* no memory, fds and traces of processes outside, siblings among them */
        FSRV_LOCK_FLAGS = (1u << 11) - 1,

        /* The profile's own path: it may be missing. Besides FSRV_PATH_… */
        FSRV_WIRE_PATH_OPTIONAL = 1u << 16,
};

enum { FSRV_SANDBOX_LIMITS = 16 };

/* Followed by n_filter instructions of 8 bytes; n_ports of struct fsrv__wire_port; n_paths of struct fsrv__wire_path;
 * n_mounts of struct fsrv__wire_mount; then NUL-terminated strings: the profile's name, one for each path, two for each
 * mount (source, target). */
struct fsrv__wire_sandbox {
        uint32_t version;
        uint32_t flags;      /* FSRV_LOCK_… */
        uint32_t refused;    /* enum fsrv_refuse: groups of system calls */
        uint32_t namespaces; /* CLONE_NEW… */
        uint32_t limits;     /* bit n: the resource n has a limit */
        uint32_t n_filter, n_ports, n_paths, n_mounts;
        uint32_t limits_above;               /* bit n: the limit n comes on top of what is in use */
        uint64_t limit[FSRV_SANDBOX_LIMITS]; /* soft and hard, as setrlimit(2) has them */
};

struct fsrv__wire_port {
        uint16_t port;
        uint16_t access; /* FSRV_PORT_… */
};

struct fsrv__wire_path {
        uint32_t access; /* FSRV_PATH_… */
};

struct fsrv__wire_mount {
        uint32_t kind; /* FSRV_MOUNT_… */
};

/* What a struct fsrv_sandbox of the client begins with: all that others know of it. */
struct fsrv__sealed {
        char *bytes; /* NULL: it is not sealed */
        size_t size;
};

struct fsrv__sandbox_parts {
        struct fsrv__wire_sandbox head;
        const void *filter; /* head.n_filter instructions of struct sock_filter */
        const struct fsrv__wire_port *ports;
        const struct fsrv__wire_path *paths;
        const struct fsrv__wire_mount *mounts;
        const char *profile;
        char *const *path_names;  /* head.n_paths */
        char *const *mount_names; /* 2 * head.n_mounts: source, target */
        void *memory;             /* decode: what the lists lie in; the strings lie in the bytes */
};

/* All in one new block: free(3) it. Fills in head.version. -E2BIG: over FSRV_SANDBOX_MAX; -ENOMEM. */
int fsrv__sandbox_encode(struct fsrv__sandbox_parts *parts, char **ret_bytes, size_t *ret_size);
/* Checks bytes from outside, which stay in use. Free with fsrv__sandbox_parts_done(). -EPROTONOSUPPORT: another
 * version; -EPROTO: malformed; -ENOMEM. */
int fsrv__sandbox_decode(const void *bytes, size_t size, struct fsrv__sandbox_parts *ret_parts);
/* Whether a part of the path is "..". */
bool fsrv__path_has_dots(const char *path);
/* The namespaces that it takes: those that were asked for, and that of the mounts. CLONE_NEW… */
int fsrv__sandbox_namespaces(const struct fsrv__sandbox_parts *parts);
void fsrv__sandbox_parts_done(struct fsrv__sandbox_parts *parts);

#endif
