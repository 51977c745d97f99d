/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "wire/rules.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "base/locks.h"

struct teller {
        void (*tell)(const struct fsrv_sandbox_rule *rule, void *data);
        void *data;
};

static void tell_rule(const struct teller *teller, const char *what, const char *by, enum fsrv_rule_state state,
                      const char *why) {
        struct fsrv_sandbox_rule rule = { .size = sizeof rule, .what = what, .by = by, .state = state, .why = why };

        teller->tell(&rule, teller->data);
}

/* ---- seccomp ---- */

static const struct {
        uint32_t group;
        const char *what;
} groups[] = {
        { FSRV_REFUSE_NETWORK, "no network" },
        { FSRV_REFUSE_SOCKETS, "no sockets" },
        { FSRV_REFUSE_EXEC, "no exec" },
        { FSRV_REFUSE_FORK, "no processes" },
        { FSRV_REFUSE_OTHERS, "no calls to other processes" },
        { FSRV_REFUSE_KERNEL, "no rare calls of the kernel" },
        { FSRV_REFUSE_METADATA, "no changes of modes, owners and times" },
        { FSRV_REFUSE_FILES, "no opening of files" },
        { FSRV_REFUSE_NAMESPACES, "no namespaces" },
};

static void tell_groups(const struct fsrv__sandbox_parts *sandbox, const struct teller *teller) {
        bool is_there = fsrv__seccomp_is_there(), knows_calls = fsrv__seccomp_knows_calls();

        for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
                if (sandbox->head.refused & groups[i].group)
                        tell_rule(teller, groups[i].what, "seccomp",
                                  knows_calls ? FSRV_RULE_ENFORCED : FSRV_RULE_NOT_ENFORCED,
                                  knows_calls ? "" : "this kernel has no filters, or this architecture is not known");
        if (sandbox->head.n_filter > 0)
                tell_rule(teller, "the filter that was given", "seccomp",
                          is_there ? FSRV_RULE_ENFORCED : FSRV_RULE_NOT_ENFORCED,
                          is_there ? "" : "this kernel has no filters");
}

/* ---- landlock ---- */

static const char *const abis[] = { "landlock",       "landlock ABI 1", "landlock ABI 2", "landlock ABI 3",
                                    "landlock ABI 4", "landlock ABI 5", "landlock ABI 6", "landlock ABI 7",
                                    "landlock ABI 8", "landlock ABI 9", "landlock ABI 10" };

static const char *name_abi(int abi) {
        int last = (int)(sizeof abis / sizeof *abis) - 1;

        return abis[abi > last ? last : abi];
}

static const char no_landlock[] = "this kernel has no landlock (Linux 5.13), or it is not switched on (lsm=)";

static void tell_files(int abi, const struct teller *teller) {
        const char *why = "";

        if (abi == 0)
                why = no_landlock;
        else if (abi < 3)
                why = "before Linux 6.2 files that can be read can also be truncated";
        else if (abi < 5)
                why = "before Linux 6.10 devices that can be opened take all ioctls";
        enum fsrv_rule_state state = why[0] ? FSRV_RULE_PARTLY : FSRV_RULE_ENFORCED;
        if (abi == 0)
                state = FSRV_RULE_NOT_ENFORCED;
        tell_rule(teller, "no files but those of the list", name_abi(abi), state, why);
}

/* Without scopes the filter closes what raise(3) and abort(3) don't need. */
static void tell_scopes(const struct fsrv__sandbox_parts *sandbox, int abi, const struct teller *teller) {
        bool is_filtered = sandbox->head.refused & FSRV_REFUSE_OTHERS && fsrv__seccomp_knows_calls();
        enum fsrv_rule_state state = is_filtered ? FSRV_RULE_PARTLY : FSRV_RULE_NOT_ENFORCED;

        if (abi >= 6)
                state = FSRV_RULE_ENFORCED;
        tell_rule(teller, "no signals and abstract sockets to processes outside", name_abi(abi), state,
                  abi < 6 ? "before Linux 6.12 programs reach processes of the same user by tgkill(2)" : "");
}

static void tell_landlock(const struct fsrv__sandbox_parts *sandbox, const struct teller *teller) {
        int abi = fsrv__landlock_abi();
        const char *name = name_abi(abi);

        if (sandbox->head.flags & FSRV_LOCK_FILES)
                tell_files(abi, teller);
        if (sandbox->head.flags & FSRV_LOCK_TCP)
                tell_rule(teller, "no TCP ports but those of the list", name,
                          abi < 4 ? FSRV_RULE_NOT_ENFORCED : FSRV_RULE_ENFORCED,
                          abi < 4 ? "landlock knows of ports since Linux 6.7" : "");
        if (sandbox->head.flags & FSRV_LOCK_APART)
                tell_rule(teller, "no memory, files and traces of other processes", name,
                          abi == 0 ? FSRV_RULE_NOT_ENFORCED : FSRV_RULE_ENFORCED, abi == 0 ? no_landlock : "");
        if (sandbox->head.flags & FSRV_LOCK_SCOPES)
                tell_scopes(sandbox, abi, teller);
}

/* ---- the rest ---- */

static void tell_namespaces(const struct fsrv__sandbox_parts *sandbox, const struct teller *teller) {
        int wanted = fsrv__sandbox_namespaces(sandbox);
        bool user = false;

        if (wanted == 0)
                return;
        int r = fsrv__namespaces_check(wanted, &user);
        const char *why = r < 0 ? "the kernel makes none of them" : "";
        if (r == -EPERM || r == -EACCES)
                why = user ? "user namespaces are forbidden to this user" : "this process may not make them";
        tell_rule(teller, "namespaces and mounts", user ? "a user namespace" : "namespaces",
                  r < 0 ? FSRV_RULE_NOT_ENFORCED : FSRV_RULE_ENFORCED, why);
}

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif

void fsrv__rules_tell(const struct fsrv__sandbox_parts *sandbox,
                      void (*tell)(const struct fsrv_sandbox_rule *rule, void *data), void *data) {
        struct teller teller = { tell, data };

        tell_rule(&teller, "no new privileges", "no_new_privs", FSRV_RULE_ENFORCED, "");
        tell_groups(sandbox, &teller);
        tell_landlock(sandbox, &teller);
        tell_namespaces(sandbox, &teller);
        if (sandbox->head.limits)
                tell_rule(&teller, "limits", "setrlimit", FSRV_RULE_ENFORCED, "");
        if (sandbox->head.flags & FSRV_LOCK_NO_CAPABILITIES)
                tell_rule(&teller, "no capabilities", "capset", FSRV_RULE_ENFORCED, "");
        if (sandbox->head.flags & FSRV_LOCK_MDWE) {
                bool is_there = prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0;
                tell_rule(&teller, "no memory that becomes executable", "PR_SET_MDWE",
                          is_there ? FSRV_RULE_ENFORCED : FSRV_RULE_NOT_ENFORCED,
                          is_there ? "" : "the kernel knows of it since Linux 6.3");
        }
}
