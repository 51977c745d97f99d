/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_PROFILES_H
#define FSRV_CLIENT_PROFILES_H

#include <stddef.h>
#include <stdint.h>

/* What a sandbox begins with, by name. */

struct fsrv__profile_path {
        const char *path;
        uint32_t access;
};

struct fsrv__profile {
        const char *name;
        uint32_t flags;   /* FSRV_LOCK_… */
        uint32_t refused; /* enum fsrv_refuse */
        const struct fsrv__profile_path *paths;
        size_t n_paths;
        int has_limits;
};

struct fsrv__profile_limit {
        int resource;
        uint64_t value;
};

extern const struct fsrv__profile_limit fsrv__profile_limits[];
extern const size_t fsrv__n_profile_limits;

/* NULL: there is none of that name. */
const struct fsrv__profile *fsrv__profile_find(const char *name);

#endif
