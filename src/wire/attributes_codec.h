/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_ATTRIBUTES_CODEC_H
#define FSRV_WIRE_ATTRIBUTES_CODEC_H

/* The attributes of a request as the wire has them; no I/O. The client checks them and makes this, the worker applies
 * it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/title.h"
#include "forkserver.h"

#define FSRV_WIRE_LIMITS       16    /* RLIM_NLIMITS */
#define FSRV_WIRE_AFFINITY_MAX 1024  /* bytes: 8,192 processors */
#define FSRV_WIRE_GROUPS_MAX   65536 /* NGROUPS_MAX */
#define FSRV_WIRE_ATTRIBUTES   ((UINT64_C(1) << 26) - 1)

enum { FSRV_CAP_EFFECTIVE, FSRV_CAP_PERMITTED, FSRV_CAP_INHERITABLE, FSRV_CAP_AMBIENT, FSRV_CAP_BOUNDING, FSRV_CAPS };

struct fsrv__wire_limit {
        uint64_t soft, hard; /* or FSRV_LIMIT_SAME */
};

/* Followed by affinity_size bytes, n_groups gids of 4 bytes, and title_size bytes, of which the last is a NUL. The fds
 * that it needs are the last of the caller's, in this order: the terminal (not STDIN), the cgroup, the ruleset. */
struct fsrv__wire_attributes {
        uint64_t mask; /* FSRV_ATTRIBUTE_…; the cgroup is always an fd, of its cgroup.procs for writing */
        uint64_t timer_slack_ns;
        uint64_t caps[FSRV_CAPS];
        struct fsrv__wire_limit limit[FSRV_WIRE_LIMITS];
        uint32_t limits; /* bit n: the resource n has one */
        int32_t nice;
        int32_t scheduler;
        int32_t scheduler_priority;
        uint32_t io_priority; /* as ioprio_set(2) takes it */
        int32_t oom_score_adj;
        uint32_t uid;
        uint32_t gid;
        uint32_t securebits;
        uint32_t terminal_is_stdin; /* 0, 1 */
        int32_t pdeathsig;
        uint32_t dumpable;      /* 0, 1 */
        uint32_t affinity_size; /* a multiple of 8 */
        uint32_t n_groups;
        uint32_t title_size;
        uint32_t reserved; /* 0 */
};

/* The struct's and its lists' bytes. */
static inline size_t fsrv__attributes_size(const struct fsrv__wire_attributes *attributes) {
        return sizeof *attributes + attributes->affinity_size + attributes->n_groups * sizeof(uint32_t) +
               attributes->title_size;
}

/* Checks what came from outside, of which `size` bytes are there, and yields the bytes that it takes; n_fds: the
 * caller's. -EPROTO: malformed. */
int fsrv__attributes_check(const struct fsrv__wire_attributes *attributes, size_t size, uint32_t n_fds,
                           size_t *ret_size);

static inline const void *fsrv__attributes_affinity(const struct fsrv__wire_attributes *attributes) {
        return attributes + 1;
}

static inline const uint32_t *fsrv__attributes_groups(const struct fsrv__wire_attributes *attributes) {
        return (const uint32_t *)((const char *)(attributes + 1) + attributes->affinity_size);
}

static inline const char *fsrv__attributes_title(const struct fsrv__wire_attributes *attributes) {
        return (const char *)(fsrv__attributes_groups(attributes) + attributes->n_groups);
}

static inline uint32_t fsrv__attributes_count_fds(const struct fsrv__wire_attributes *attributes) {
        return (uint32_t)(attributes->mask & FSRV_ATTRIBUTE_TERMINAL && !attributes->terminal_is_stdin) +
               (uint32_t) !!(attributes->mask & FSRV_ATTRIBUTE_CGROUP_FD) +
               (uint32_t) !!(attributes->mask & FSRV_ATTRIBUTE_RULESET);
}

/* Whether a process with these attributes may borrow a standby's memory: none of them shows in another process that
 * has the memory too. The kernel has the OOM score, the dumpability, MDWE with the memory, and what raises or changes
 * credentials makes the memory undumpable; a move to a cgroup may take long. */
static inline bool fsrv__attributes_can_borrow(const struct fsrv__wire_attributes *attributes) {
        const uint64_t harmless = FSRV_ATTRIBUTE_LIMITS | FSRV_ATTRIBUTE_NICE | FSRV_ATTRIBUTE_AFFINITY |
                                  FSRV_ATTRIBUTE_SCHEDULER | FSRV_ATTRIBUTE_IO_PRIORITY | FSRV_ATTRIBUTE_TIMER_SLACK |
                                  FSRV_ATTRIBUTE_NO_NEW_PRIVS | FSRV_ATTRIBUTE_PDEATHSIG | FSRV_ATTRIBUTE_TERMINAL |
                                  FSRV_ATTRIBUTE_RULESET;

        return !(attributes->mask & ~harmless);
}

#endif
