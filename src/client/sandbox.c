/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "client/sandbox.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/syscalls.h"
#include "client/profiles.h"
#include "wire/rules.h"
#include "wire/sandbox_codec.h"

/* ---- making and freeing ---- */

static int add_optional(struct fsrv_sandbox *sandbox, const struct fsrv__profile_path *path) {
        int r = fsrv_sandbox_add_path(sandbox, path->path, path->access);

        if (r == 0)
                sandbox->paths[sandbox->head.n_paths - 1].access |= FSRV_WIRE_PATH_OPTIONAL;
        return r;
}

static int fill_profile(struct fsrv_sandbox *sandbox, const struct fsrv__profile *profile) {
        int r = 0;

        sandbox->profile = profile->name;
        sandbox->head.flags = profile->flags;
        sandbox->head.refused = profile->refused;
        for (size_t i = 0; i < profile->n_paths && r == 0; i++)
                r = add_optional(sandbox, &profile->paths[i]);
        for (size_t i = 0; i < fsrv__n_profile_limits && profile->has_limits && r == 0; i++)
                r = fsrv_sandbox_limit(sandbox, fsrv__profile_limits[i].resource, fsrv__profile_limits[i].value);
        return r;
}

int fsrv_sandbox_new(const char *profile, struct fsrv_sandbox **ret_sandbox, struct fsrv_error *error) {
        const struct fsrv__profile *found = fsrv__profile_find(profile);

        if (!found)
                return fsrv__fail_text(error, FSRV_STAGE_SANDBOX, EINVAL,
                                       "'%s' is no profile: untrusted, pure-compute, no-network, no-exec and none are",
                                       profile ? profile : "");
        struct fsrv_sandbox *sandbox = calloc(1, sizeof *sandbox);
        if (sandbox)
                sandbox->refs = 1;
        if (!sandbox || fill_profile(sandbox, found) < 0) {
                fsrv_sandbox_unref(sandbox);
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, ENOMEM, "a sandbox");
        }
        *ret_sandbox = sandbox;
        return 0;
}

struct fsrv_sandbox *fsrv_sandbox_ref(struct fsrv_sandbox *sandbox) {
        __atomic_add_fetch(&sandbox->refs, 1, __ATOMIC_RELAXED);
        return sandbox;
}

static void free_strings(char **strings, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(strings[i]);
        free(strings);
}

struct fsrv_sandbox *fsrv_sandbox_unref(struct fsrv_sandbox *sandbox) {
        if (!sandbox || __atomic_sub_fetch(&sandbox->refs, 1, __ATOMIC_ACQ_REL) > 0)
                return NULL;
        free_strings(sandbox->path_names, sandbox->head.n_paths);
        free_strings(sandbox->mount_names, 2 * (size_t)sandbox->head.n_mounts);
        free(sandbox->filter);
        free(sandbox->ports);
        free(sandbox->paths);
        free(sandbox->mounts);
        free(sandbox->sealed.bytes);
        free(sandbox->of_programs);
        free(sandbox);
        return NULL;
}

const void *fsrv__sandbox_get_bytes(const struct fsrv_sandbox *sandbox, bool of_programs, size_t *ret_size) {
        *ret_size = sandbox->sealed.size;
        return of_programs ? sandbox->of_programs : sandbox->sealed.bytes;
}

const char *fsrv_syscall_name(int number) {
        const char *name = fsrv__syscall_name(number);

        return name ? name : "unknown";
}

/* ---- single values ---- */

static int check_groups(const struct fsrv_sandbox *sandbox, uint32_t groups) {
        if (fsrv__sandbox_is_sealed(sandbox))
                return -EPERM;
        return groups & ~(((uint32_t)FSRV_REFUSE_FORK << 1) - 1) ? -EINVAL : 0;
}

int fsrv_sandbox_refuse(struct fsrv_sandbox *sandbox, uint32_t groups) {
        int r = check_groups(sandbox, groups);

        if (r == 0)
                sandbox->head.refused |= groups;
        return r;
}

/* The domain apart belongs to the calls that reach other processes. */
int fsrv_sandbox_allow(struct fsrv_sandbox *sandbox, uint32_t groups) {
        int r = check_groups(sandbox, groups);

        if (r == 0)
                sandbox->head.refused &= ~groups;
        if (r == 0 && groups & FSRV_REFUSE_OTHERS)
                sandbox->head.flags &= ~(uint32_t)(FSRV_LOCK_APART | FSRV_LOCK_SCOPES);
        return r;
}

int fsrv_sandbox_set_filter(struct fsrv_sandbox *sandbox, const void *bytes, size_t n) {
        enum { INSTRUCTION = 8 };
        void *copy = NULL;

        if (fsrv__sandbox_is_sealed(sandbox))
                return -EPERM;
        if (n % INSTRUCTION)
                return -EINVAL;
        if (n / INSTRUCTION > FSRV_SANDBOX_FILTER_MAX)
                return -E2BIG;
        if (n > 0) {
                copy = malloc(n);
                if (!copy)
                        return -ENOMEM;
                memcpy(copy, bytes, n);
        }
        free(sandbox->filter);
        sandbox->filter = copy;
        sandbox->head.n_filter = (uint32_t)(n / INSTRUCTION);
        return 0;
}

int fsrv_sandbox_unshare(struct fsrv_sandbox *sandbox, int namespaces) {
        const int known = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

        if (fsrv__sandbox_is_sealed(sandbox))
                return -EPERM;
        if (namespaces & ~known)
                return -EINVAL;
        sandbox->head.namespaces |= (uint32_t)namespaces;
        return 0;
}

int fsrv_sandbox_limit(struct fsrv_sandbox *sandbox, int resource, uint64_t value) {
        uint32_t bit = 1u << (resource & 31);

        if (fsrv__sandbox_is_sealed(sandbox))
                return -EPERM;
        if (resource < 0 || resource >= RLIM_NLIMITS || resource >= FSRV_SANDBOX_LIMITS)
                return -EINVAL;
        sandbox->head.limits &= ~bit;
        sandbox->head.limits_above &= ~bit;
        sandbox->head.limit[resource] = 0;
        if (value == RLIM64_INFINITY || value == RLIM_INFINITY)
                return 0;
        sandbox->head.limits |= bit;
        sandbox->head.limit[resource] = value;
        if (resource == RLIMIT_AS || resource == RLIMIT_DATA)
                sandbox->head.limits_above |= bit;
        return 0;
}

static const struct {
        uint32_t flag, lock;
} flags_of_locks[] = {
        { FSRV_SANDBOX_STRICT, FSRV_LOCK_STRICT },    { FSRV_SANDBOX_KILL, FSRV_LOCK_KILLS },
        { FSRV_SANDBOX_SPAWN, FSRV_LOCK_SPAWNS },     { FSRV_SANDBOX_MDWE, FSRV_LOCK_MDWE },
        { FSRV_SANDBOX_NEW_ROOT, FSRV_LOCK_NO_ROOT },
};

int fsrv_sandbox_set_flags(struct fsrv_sandbox *sandbox, uint32_t flags) {
        uint32_t known = 0, locks = 0, all = 0;

        for (size_t i = 0; i < sizeof flags_of_locks / sizeof *flags_of_locks; i++) {
                known |= flags_of_locks[i].flag;
                all |= flags_of_locks[i].lock;
                if (flags & flags_of_locks[i].flag)
                        locks |= flags_of_locks[i].lock;
        }
        if (fsrv__sandbox_is_sealed(sandbox))
                return -EPERM;
        if (flags & ~known)
                return -EINVAL;
        sandbox->head.flags = (sandbox->head.flags & ~all) | locks;
        return 0;
}

/* ---- sealing ---- */

struct sealing {
        void (*report)(const struct fsrv_sandbox_rule *rule, void *data);
        void *data;
        bool is_strict;
        struct fsrv_error *error; /* with `failed`: the first gap */
        bool failed;
};

static void take_rule(const struct fsrv_sandbox_rule *rule, void *data) {
        struct sealing *sealing = data;

        if (sealing->report)
                sealing->report(rule, sealing->data);
        if (!sealing->is_strict || sealing->failed || rule->state == FSRV_RULE_ENFORCED)
                return;
        sealing->failed = true;
        fsrv__fail_text(sealing->error, FSRV_STAGE_SANDBOX, EOPNOTSUPP, "%s cannot be enforced here: %s", rule->what,
                        rule->why);
}

/* A program's zygote lets it be executed. Where that is refused to nobody, one zygote does for both. */
static char *copy_for_programs(const struct fsrv__sealed *sealed) {
        char *copy = malloc(sealed->size);
        struct fsrv__wire_sandbox head;

        if (!copy)
                return NULL;
        memcpy(copy, sealed->bytes, sealed->size);
        memcpy(&head, copy, sizeof head);
        if (head.refused & FSRV_REFUSE_EXEC)
                head.flags |= FSRV_LOCK_PROGRAM;
        memcpy(copy, &head, sizeof head);
        return copy;
}

int fsrv_sandbox_seal(struct fsrv_sandbox *sandbox, void (*report)(const struct fsrv_sandbox_rule *rule, void *data),
                      void *data, struct fsrv_error *error) {
        struct fsrv__sandbox_parts parts = { .head = sandbox->head,
                                             .filter = sandbox->filter,
                                             .ports = sandbox->ports,
                                             .paths = sandbox->paths,
                                             .mounts = sandbox->mounts,
                                             .profile = sandbox->profile,
                                             .path_names = sandbox->path_names,
                                             .mount_names = sandbox->mount_names };
        struct sealing sealing = { report, data, sandbox->head.flags & FSRV_LOCK_STRICT, error, false };
        struct fsrv__sealed sealed;

        if (fsrv__sandbox_is_sealed(sandbox))
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, EPERM, "the sandbox is sealed");
        int r = fsrv__sandbox_encode(&parts, &sealed.bytes, &sealed.size);
        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, -r, "a sandbox of more than %d bytes", FSRV_SANDBOX_MAX);
        fsrv__rules_tell(&parts, take_rule, &sealing);
        if (sealing.failed) {
                free(sealed.bytes);
                return -EOPNOTSUPP;
        }
        sandbox->of_programs = copy_for_programs(&sealed);
        if (!sandbox->of_programs) {
                free(sealed.bytes);
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, ENOMEM, "a sandbox");
        }
        sandbox->sealed = sealed;
        return 0;
}
