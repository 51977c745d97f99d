/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>

#include "base/call.h"
#include "base/error.h"
#include "worker/attributes.h"

/* The old calls of some machines have ids of 16 bits. */
#ifdef SYS_setresuid32
#undef SYS_setresuid
#undef SYS_setresgid
#undef SYS_setgroups
#define SYS_setresuid SYS_setresuid32
#define SYS_setresgid SYS_setresgid32
#define SYS_setgroups SYS_setgroups32
#endif

enum { LAST_CAPABILITY = 63, HALF = 32 };

struct sets {
        uint64_t effective, permitted, inheritable;
};

static bool has(const struct fsrv__wire_attributes *a, uint64_t attribute) {
        return a->mask & attribute;
}

static const char *lowest_name(uint64_t set) {
        const char *name = set ? fsrv_capability_name(__builtin_ctzll(set)) : NULL;

        return name ? name : "unknown";
}

/* ---- the kernel's sets, in halves of 32 bits ---- */

static int get_sets(struct sets *ret_sets) {
        struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2];
        long r = fsrv__call(SYS_capget, &head, data);

        *ret_sets = (struct sets){ .effective = (uint64_t)data[1].effective << HALF | data[0].effective,
                                   .permitted = (uint64_t)data[1].permitted << HALF | data[0].permitted,
                                   .inheritable = (uint64_t)data[1].inheritable << HALF | data[0].inheritable };
        return (int)r;
}

static int put_sets(const struct sets *sets) {
        struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2];

        for (int i = 0; i < 2; i++)
                data[i] = (struct __user_cap_data_struct){ .effective = (uint32_t)(sets->effective >> i * HALF),
                                                           .permitted = (uint32_t)(sets->permitted >> i * HALF),
                                                           .inheritable = (uint32_t)(sets->inheritable >> i * HALF) };
        return (int)fsrv__call(SYS_capset, &head, data);
}

/* ---- while there are privileges ---- */

static int set_securebits(const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        if (!has(a, FSRV_ATTRIBUTE_SECUREBITS))
                return 0;
        long r = fsrv__call(SYS_prctl, PR_SET_SECUREBITS, a->securebits);
        return r < 0 ? FSRV_ATTRIBUTE_FAILED(error, (int)-r, "securebits %#x", a->securebits) : 0;
}

/* The kernel knows so many capabilities as it can be asked about. */
static int drop_from_bounding_set(const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        for (int i = 0; has(a, FSRV_ATTRIBUTE_CAP_BOUNDING) && i <= LAST_CAPABILITY; i++) {
                long is_in = fsrv__call(SYS_prctl, PR_CAPBSET_READ, i), r = 0;

                if (is_in < 0)
                        break;
                if (is_in && !(a->caps[FSRV_CAP_BOUNDING] >> i & 1))
                        r = fsrv__call(SYS_prctl, PR_CAPBSET_DROP, i);
                if (r < 0)
                        return FSRV_ATTRIBUTE_FAILED(error, (int)-r, "dropping %s from the bounding set",
                                                     lowest_name(UINT64_C(1) << i));
        }
        return 0;
}

/* ---- ids ---- */

static int set_ids(const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        long r = 0;

        if (has(a, FSRV_ATTRIBUTE_GROUPS))
                r = fsrv__call(SYS_setgroups, a->n_groups, fsrv__attributes_groups(a));
        if (r < 0)
                return FSRV_ATTRIBUTE_FAILED(error, (int)-r, "the %u supplementary groups", a->n_groups);
        if (has(a, FSRV_ATTRIBUTE_GID))
                r = fsrv__call(SYS_setresgid, a->gid, a->gid, a->gid);
        if (r < 0)
                return FSRV_ATTRIBUTE_FAILED(error, (int)-r, "gid %u", a->gid);
        if (has(a, FSRV_ATTRIBUTE_UID))
                r = fsrv__call(SYS_setresuid, a->uid, a->uid, a->uid);
        return r < 0 ? FSRV_ATTRIBUTE_FAILED(error, (int)-r, "uid %u", a->uid) : 0;
}

int fsrv__identity_become_sender(const struct ucred *sender, struct fsrv_error *error) {
        long r = fsrv__call(SYS_setgroups, 0, NULL);

        if (r == 0)
                r = fsrv__call(SYS_setresgid, sender->gid, sender->gid, sender->gid);
        if (r == 0)
                r = fsrv__call(SYS_setresuid, sender->uid, sender->uid, sender->uid);
        return r < 0 ? FSRV_ATTRIBUTE_FAILED(error, (int)-r, "uid %u and gid %u, of the user that asked",
                                             (unsigned)sender->uid, (unsigned)sender->gid)
                     : 0;
}

/* ---- capabilities ---- */

#define THREAD_SETS \
        (FSRV_ATTRIBUTE_CAP_EFFECTIVE | FSRV_ATTRIBUTE_CAP_PERMITTED | FSRV_ATTRIBUTE_CAP_INHERITABLE | \
         FSRV_ATTRIBUTE_CAP_AMBIENT)

/* What the change of the ids leaves in place, had the capabilities not been kept for what is asked for. */
static struct sets sets_left(const struct fsrv__wire_attributes *a, struct sets now) {
        long securebits = fsrv__call(SYS_prctl, PR_GET_SECUREBITS);

        if (has(a, FSRV_ATTRIBUTE_UID) && a->uid != 0 && !(securebits & SECBIT_NO_SETUID_FIXUP))
                now.permitted = now.effective = 0;
        return now;
}

static struct sets wanted_sets(const struct fsrv__wire_attributes *a, struct sets now) {
        struct sets wanted = sets_left(a, now);
        uint64_t ambient = has(a, FSRV_ATTRIBUTE_CAP_AMBIENT) ? a->caps[FSRV_CAP_AMBIENT] : 0;

        if (has(a, FSRV_ATTRIBUTE_CAP_PERMITTED))
                wanted.permitted = a->caps[FSRV_CAP_PERMITTED];
        if (has(a, FSRV_ATTRIBUTE_CAP_INHERITABLE))
                wanted.inheritable = a->caps[FSRV_CAP_INHERITABLE];
        wanted.permitted |= ambient;
        wanted.inheritable |= ambient;
        wanted.effective &= wanted.permitted;
        if (has(a, FSRV_ATTRIBUTE_CAP_EFFECTIVE))
                wanted.effective = a->caps[FSRV_CAP_EFFECTIVE];
        return wanted;
}

static int set_ambient(uint64_t ambient, struct fsrv_error *error) {
        long r = fsrv__call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);

        for (int i = 0; r == 0 && i <= LAST_CAPABILITY; i++)
                if (ambient >> i & 1 && (r = fsrv__call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i)) < 0)
                        return FSRV_ATTRIBUTE_FAILED(error, (int)-r, "the ambient capability %s",
                                                     lowest_name(UINT64_C(1) << i));
        return r < 0 ? FSRV_ATTRIBUTE_FAILED(error, (int)-r, "clearing the ambient capabilities") : 0;
}

static int set_capabilities(const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        struct sets now;
        int r = get_sets(&now);

        if (r < 0)
                return FSRV_ATTRIBUTE_FAILED(error, -r, "reading the capabilities");
        const struct sets wanted = wanted_sets(a, now);
        uint64_t missing = wanted.permitted & ~now.permitted;
        r = put_sets(&wanted);
        if (r < 0 && missing)
                return FSRV_ATTRIBUTE_FAILED(error, -r, "the capability %s", lowest_name(missing));
        if (r < 0)
                return FSRV_ATTRIBUTE_FAILED(error, -r,
                                             "capabilities: effective %#llx, permitted %#llx, inheritable %#llx",
                                             (unsigned long long)wanted.effective, (unsigned long long)wanted.permitted,
                                             (unsigned long long)wanted.inheritable);
        return has(a, FSRV_ATTRIBUTE_CAP_AMBIENT) ? set_ambient(a->caps[FSRV_CAP_AMBIENT], error) : 0;
}

int fsrv__identity_set(const struct fsrv__wire_attributes *a, struct fsrv_error *error) {
        bool sets_capabilities = a->mask & THREAD_SETS;
        int r;

        if ((r = set_securebits(a, error)) < 0 || (r = drop_from_bounding_set(a, error)) < 0)
                return r;
        /* setresuid(2) would take the capabilities that are asked for. If the securebits forbid to keep them, they are
         * missing later. */
        if (sets_capabilities)
                fsrv__call(SYS_prctl, PR_SET_KEEPCAPS, 1);
        r = set_ids(a, error);
        if (r == 0 && sets_capabilities)
                r = set_capabilities(a, error);
        if (sets_capabilities && !(has(a, FSRV_ATTRIBUTE_SECUREBITS) && a->securebits & SECBIT_KEEP_CAPS))
                fsrv__call(SYS_prctl, PR_SET_KEEPCAPS, 0);
        return r;
}
