/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>

#include "base/error.h"
#include "base/fd.h"
#include "client/request.h"

/* The attributes of a request: checked when they are set, and kept as the wire has them. */

enum { LAST_SIGNAL = 64, IO_CLASS_SHIFT = 13, SECUREBITS = 0xfff };

#define INVALID(error, ...) fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, __VA_ARGS__)

static bool has(const struct fsrv_attributes *a, uint64_t attribute) {
        return a->mask & attribute;
}

/* ---- what can be wrong ---- */

static int check_limits(const struct fsrv_attributes *a, struct fsrv_error *error) {
        uint32_t seen = 0;

        if (!has(a, FSRV_ATTRIBUTE_LIMITS))
                return 0;
        if (!a->limits || a->n_limits == 0)
                return INVALID(error, "the list of limits is empty");
        for (size_t i = 0; i < a->n_limits; i++) {
                const struct fsrv_limit *limit = &a->limits[i];
                const char *name = fsrv_limit_name(limit->resource);

                if (!name)
                        return INVALID(error, "there is no limit with the number %d", limit->resource);
                if (seen >> limit->resource & 1)
                        return INVALID(error, "RLIMIT_%s is given twice", name);
                seen |= 1u << limit->resource;
                if (limit->soft > limit->hard && limit->soft != FSRV_LIMIT_SAME && limit->hard != FSRV_LIMIT_SAME)
                        return INVALID(error, "RLIMIT_%s: its soft limit is above its hard one", name);
        }
        return 0;
}

static int check_affinity(const struct fsrv_attributes *a, struct fsrv_error *error) {
        const unsigned char *bytes = a->affinity;
        bool is_empty = true;

        if (!has(a, FSRV_ATTRIBUTE_AFFINITY))
                return 0;
        if (!bytes || a->affinity_size == 0 || a->affinity_size > FSRV_WIRE_AFFINITY_MAX)
                return INVALID(error, "a set of processors has 1 to %d bytes", FSRV_WIRE_AFFINITY_MAX);
        for (size_t i = 0; i < a->affinity_size; i++)
                is_empty = is_empty && bytes[i] == 0;
        return is_empty ? INVALID(error, "the set of processors is empty") : 0;
}

static int check_scheduler(const struct fsrv_attributes *a, struct fsrv_error *error) {
        int policy = a->scheduler & ~SCHED_RESET_ON_FORK, priority = a->scheduler_priority;
        bool is_real_time = policy == SCHED_FIFO || policy == SCHED_RR;

        if (!has(a, FSRV_ATTRIBUTE_SCHEDULER))
                return 0;
        if (!is_real_time && policy != SCHED_OTHER && policy != SCHED_BATCH && policy != SCHED_IDLE)
                return INVALID(error, "scheduler %d is none of SCHED_OTHER, BATCH, IDLE, FIFO and RR", policy);
        if (is_real_time && (priority < 1 || priority > 99))
                return INVALID(error, "a real-time priority is from 1 to 99, not %d", priority);
        if (!is_real_time && priority != 0)
                return INVALID(error, "only SCHED_FIFO and SCHED_RR have a priority");
        return 0;
}

struct range {
        uint64_t attribute;
        const char *name;
        long long value, least, most;
};

static int check_ranges(const struct fsrv_attributes *a, struct fsrv_error *error) {
        const struct range ranges[] = {
                { FSRV_ATTRIBUTE_NICE, "a nice value", a->nice, -20, 19 },
                { FSRV_ATTRIBUTE_IO_PRIORITY, "a class of I/O priority", a->io_class, 0, 3 },
                { FSRV_ATTRIBUTE_IO_PRIORITY, "a level of I/O priority", a->io_level, 0, 7 },
                { FSRV_ATTRIBUTE_OOM_SCORE_ADJ, "an adjustment of the OOM score", a->oom_score_adj, -1000, 1000 },
                { FSRV_ATTRIBUTE_UID, "a uid", a->uid, 0, UINT32_MAX - 1 },
                { FSRV_ATTRIBUTE_GID, "a gid", a->gid, 0, UINT32_MAX - 1 },
                { FSRV_ATTRIBUTE_SECUREBITS, "a set of securebits", a->securebits, 0, SECUREBITS },
                { FSRV_ATTRIBUTE_PDEATHSIG, "a signal for the server's end", a->pdeathsig, 0, LAST_SIGNAL },
                { FSRV_ATTRIBUTE_DUMPABLE, "dumpable", a->dumpable, 0, 1 },
        };

        for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
                const struct range *range = &ranges[i];

                if (has(a, range->attribute) && (range->value < range->least || range->value > range->most))
                        return INVALID(error, "%s is from %lld to %lld, not %lld", range->name, range->least,
                                       range->most, range->value);
        }
        return 0;
}

static int check_groups(const struct fsrv_attributes *a, struct fsrv_error *error) {
        if (!has(a, FSRV_ATTRIBUTE_GROUPS))
                return 0;
        if (a->n_groups > FSRV_WIRE_GROUPS_MAX || (a->n_groups > 0 && !a->groups))
                return INVALID(error, "there may be %d supplementary groups", FSRV_WIRE_GROUPS_MAX);
        for (size_t i = 0; i < a->n_groups; i++)
                if (a->groups[i] == (gid_t)-1)
                        return INVALID(error, "a gid is from 0 to %u", UINT32_MAX - 1);
        return 0;
}

static int check_others(const struct fsrv_attributes *a, struct fsrv_error *error) {
        if (has(a, FSRV_ATTRIBUTE_TITLE) && (!a->title || strlen(a->title) >= FSRV_TITLE_SIZE))
                return INVALID(error, "a title has at most %d bytes", FSRV_TITLE_SIZE - 1);
        if (has(a, FSRV_ATTRIBUTE_TERMINAL) && a->terminal < 0 && a->terminal != FSRV_TERMINAL_STDIN)
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, EBADF, "the terminal's fd %d", a->terminal);
        if (has(a, FSRV_ATTRIBUTE_CGROUP) && has(a, FSRV_ATTRIBUTE_CGROUP_FD))
                return INVALID(error, "the cgroup is given by path and by fd");
        if (has(a, FSRV_ATTRIBUTE_CGROUP_FD) && a->cgroup_fd < 0)
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, EBADF, "the cgroup's fd %d", a->cgroup_fd);
        if (has(a, FSRV_ATTRIBUTE_RULESET) && a->ruleset_fd < 0)
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, EBADF, "the ruleset's fd %d", a->ruleset_fd);
        if (has(a, FSRV_ATTRIBUTE_CGROUP) && (!a->cgroup || !a->cgroup[0]))
                return INVALID(error, "the cgroup's path is empty");
        return 0;
}

static int check_all(const struct fsrv_attributes *a, struct fsrv_error *error) {
        int (*const checks[])(const struct fsrv_attributes *, struct fsrv_error *) = {
                check_limits, check_affinity, check_scheduler, check_ranges, check_groups, check_others,
        };
        int r = 0;

        if (a->size != sizeof *a)
                return INVALID(error, "the attributes' size is %zu, not %zu", a->size, sizeof *a);
        if (a->mask & ~FSRV_WIRE_ATTRIBUTES)
                return INVALID(error, "there is no attribute with the bit %#llx",
                               (unsigned long long)(a->mask & ~FSRV_WIRE_ATTRIBUTES));
        for (size_t i = 0; r == 0 && i < sizeof checks / sizeof *checks; i++)
                r = checks[i](a, error);
        return r;
}

/* ---- as the wire has them ---- */

static void fill_lists(struct fsrv__wire_attributes *wire, const struct fsrv_attributes *a) {
        if (wire->affinity_size)
                memcpy((void *)fsrv__attributes_affinity(wire), a->affinity, a->affinity_size);
        for (uint32_t i = 0; i < wire->n_groups; i++)
                ((uint32_t *)fsrv__attributes_groups(wire))[i] = a->groups[i];
        if (wire->title_size)
                memcpy((char *)fsrv__attributes_title(wire), a->title, wire->title_size);
}

static void fill_limits(struct fsrv__wire_attributes *wire, const struct fsrv_attributes *a) {
        for (size_t i = 0; has(a, FSRV_ATTRIBUTE_LIMITS) && i < a->n_limits; i++) {
                wire->limits |= 1u << a->limits[i].resource;
                wire->limit[a->limits[i].resource] =
                        (struct fsrv__wire_limit){ .soft = a->limits[i].soft, .hard = a->limits[i].hard };
        }
}

/* In new memory; NULL: there is none. */
static struct fsrv__wire_attributes *make_wire(const struct fsrv_attributes *a) {
        struct fsrv__wire_attributes head = {
                .mask = a->mask,
                .timer_slack_ns = a->timer_slack_ns,
                .caps = { [FSRV_CAP_EFFECTIVE] = a->cap_effective,
                          [FSRV_CAP_PERMITTED] = a->cap_permitted,
                          [FSRV_CAP_INHERITABLE] = a->cap_inheritable,
                          [FSRV_CAP_AMBIENT] = a->cap_ambient,
                          [FSRV_CAP_BOUNDING] = a->cap_bounding },
                .nice = a->nice,
                .scheduler = a->scheduler,
                .scheduler_priority = a->scheduler_priority,
                .io_priority = (uint32_t)(a->io_class << IO_CLASS_SHIFT | a->io_level),
                .oom_score_adj = a->oom_score_adj,
                .uid = a->uid,
                .gid = a->gid,
                .securebits = a->securebits,
                .terminal_is_stdin = has(a, FSRV_ATTRIBUTE_TERMINAL) && a->terminal == FSRV_TERMINAL_STDIN,
                .pdeathsig = a->pdeathsig,
                .dumpable = a->dumpable == 1,
                .affinity_size = has(a, FSRV_ATTRIBUTE_AFFINITY) ? (uint32_t)(a->affinity_size + 7) / 8 * 8 : 0,
                .n_groups = has(a, FSRV_ATTRIBUTE_GROUPS) ? (uint32_t)a->n_groups : 0,
                .title_size = has(a, FSRV_ATTRIBUTE_TITLE) ? (uint32_t)strlen(a->title) + 1 : 0,
        };
        struct fsrv__wire_attributes *wire = calloc(1, fsrv__attributes_size(&head));

        if (!wire)
                return NULL;
        if (has(a, FSRV_ATTRIBUTE_CGROUP))
                head.mask ^= FSRV_ATTRIBUTE_CGROUP | FSRV_ATTRIBUTE_CGROUP_FD;
        *wire = head;
        fill_limits(wire, a);
        fill_lists(wire, a);
        return wire;
}

/* ---- setting them ---- */

/* The file that moves a process there. The rights of the process that opens it count (Linux 5.16); and a worker may be
 * where it can open no file. `directory`: an fd, or -errno. */
static int open_procs(int directory, const char *name, struct fsrv_error *error) {
        struct statfs where = { 0 };

        if (directory < 0)
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, -directory, "the cgroup %s", name);
        if (fstatfs(directory, &where) < 0 || where.f_type != CGROUP2_SUPER_MAGIC)
                return INVALID(error, "%s is no directory of cgroups, version 2", name);
        int fd = openat(directory, "cgroup.procs", O_WRONLY | O_CLOEXEC);
        return fd < 0 ? fsrv__fail(error, FSRV_STAGE_ARGUMENT, errno, "the cgroup %s", name) : fd;
}

static int open_cgroup(const struct fsrv_attributes *a, struct fsrv_error *error) {
        char name[FSRV_ERROR_TEXT_SIZE];

        if (has(a, FSRV_ATTRIBUTE_CGROUP_FD)) {
                snprintf(name, sizeof name, "of fd %d", a->cgroup_fd);
                return open_procs(fsrv__fd_is_open(a->cgroup_fd) == 1 ? a->cgroup_fd : -EBADF, name, error);
        }
        snprintf(name, sizeof name, "'%.200s'", a->cgroup);
        FSRV_CLEANUP_FD int directory = fsrv__open(a->cgroup, O_PATH | O_DIRECTORY);
        return open_procs(directory, name, error);
}

static void forget_attributes(struct fsrv_request *request) {
        fsrv__fd_close(request->cgroup);
        free(request->attributes);
        request->attributes = NULL;
        request->terminal = request->cgroup = request->ruleset = -1;
}

int fsrv_request_set_attributes(struct fsrv_request *request, const struct fsrv_attributes *attributes,
                                struct fsrv_error *error) {
        int cgroup = -1, r = attributes ? check_all(attributes, error) : 0;

        if (r < 0)
                return r;
        if (!attributes || attributes->mask == 0) {
                forget_attributes(request);
                return 0;
        }
        if (has(attributes, FSRV_ATTRIBUTE_CGROUP | FSRV_ATTRIBUTE_CGROUP_FD) &&
            (cgroup = open_cgroup(attributes, error)) < 0)
                return cgroup;
        struct fsrv__wire_attributes *wire = make_wire(attributes);
        if (!wire) {
                fsrv__fd_close(cgroup);
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, ENOMEM, "the attributes");
        }
        forget_attributes(request);
        request->attributes = wire;
        request->cgroup = cgroup;
        request->ruleset = has(attributes, FSRV_ATTRIBUTE_RULESET) ? attributes->ruleset_fd : -1;
        request->terminal = has(attributes, FSRV_ATTRIBUTE_TERMINAL) ? attributes->terminal : -1;
        return 0;
}
