/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "client/profiles.h"

#include <string.h>
#include <sys/resource.h>

#include "forkserver.h"
#include "wire/sandbox_codec.h"

/* What programs need to run, and to load libraries. Not all of /etc, which tells of the system's users and holds keys;
 * not /proc and /sys. */
static const struct fsrv__profile_path system_paths[] = {
        { "/usr", FSRV_PATH_READ | FSRV_PATH_EXECUTE },
        { "/bin", FSRV_PATH_READ | FSRV_PATH_EXECUTE },
        { "/sbin", FSRV_PATH_READ | FSRV_PATH_EXECUTE },
        { "/lib", FSRV_PATH_READ | FSRV_PATH_EXECUTE },
        { "/lib32", FSRV_PATH_READ | FSRV_PATH_EXECUTE },
        { "/lib64", FSRV_PATH_READ | FSRV_PATH_EXECUTE },
        { "/libx32", FSRV_PATH_READ | FSRV_PATH_EXECUTE },
        { "/etc/ld.so.cache", FSRV_PATH_READ },
        { "/etc/ld.so.preload", FSRV_PATH_READ },
        { "/etc/localtime", FSRV_PATH_READ },
        { "/etc/ssl/openssl.cnf", FSRV_PATH_READ }, /* where it is there and closed, Node.js doesn't start */
        { "/dev/null", FSRV_PATH_READ | FSRV_PATH_WRITE },
        { "/dev/zero", FSRV_PATH_READ | FSRV_PATH_WRITE },
        { "/dev/full", FSRV_PATH_READ | FSRV_PATH_WRITE },
        { "/dev/random", FSRV_PATH_READ },
        { "/dev/urandom", FSRV_PATH_READ },
};

enum {
        LOCKED = FSRV_LOCK_FILES | FSRV_LOCK_APART | FSRV_LOCK_SCOPES | FSRV_LOCK_NO_CAPABILITIES,
        CLOSED = FSRV_REFUSE_EXEC | FSRV_REFUSE_NETWORK | FSRV_REFUSE_SOCKETS | FSRV_REFUSE_OTHERS |
                 FSRV_REFUSE_KERNEL | FSRV_REFUSE_METADATA | FSRV_REFUSE_NAMESPACES,
};

static const struct fsrv__profile profiles[] = {
        { "untrusted", LOCKED, CLOSED, system_paths, sizeof system_paths / sizeof *system_paths, 1 },
        { "pure-compute", LOCKED, CLOSED | FSRV_REFUSE_FILES | FSRV_REFUSE_FORK, NULL, 0, 1 },
        /* A process that can trace another one needs no socket, and no exec, of its own. */
        { "no-network", FSRV_LOCK_APART, FSRV_REFUSE_NETWORK, NULL, 0, 0 },
        { "no-exec", FSRV_LOCK_APART, FSRV_REFUSE_EXEC, NULL, 0, 0 },
        { "none", 0, 0, NULL, 0, 0 },
};

const struct fsrv__profile_limit fsrv__profile_limits[] = {
        { RLIMIT_AS, UINT64_C(4) << 30 }, { RLIMIT_CPU, 60 }, { RLIMIT_FSIZE, UINT64_C(1) << 30 },
        { RLIMIT_NOFILE, 256 },           { RLIMIT_CORE, 0 },
};
const size_t fsrv__n_profile_limits = sizeof fsrv__profile_limits / sizeof *fsrv__profile_limits;

const struct fsrv__profile *fsrv__profile_find(const char *name) {
        for (size_t i = 0; name && i < sizeof profiles / sizeof *profiles; i++)
                if (strcmp(profiles[i].name, name) == 0)
                        return &profiles[i];
        return NULL;
}
