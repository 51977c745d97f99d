/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "capability_options.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attribute_options.h"
#include "cli.h"

enum { HALF = 32, SETS_MAX = 64 };

/* ---- what we have ---- */

static uint64_t own_bounding_set(void) {
        uint64_t set = 0;

        for (int i = 0; i < SETS_MAX; i++)
                if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
                        set |= UINT64_C(1) << i;
        return set;
}

static uint64_t own_ambient_set(void) {
        uint64_t set = 0;

        for (int i = 0; i < SETS_MAX; i++)
                if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1)
                        set |= UINT64_C(1) << i;
        return set;
}

static uint64_t own_inheritable_set(void) {
        struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = { { 0 } };

        syscall(SYS_capget, &head, data);
        return (uint64_t)data[1].inheritable << HALF | data[0].inheritable;
}

/* ---- lists of words with a sign ---- */

struct words {
        const char *option;
        uint64_t (*bits_of)(const char *name); /* 0: it knows no such name */
        const char *kind;
};

/* "+x" adds, and "-x" takes away, from left to right. */
static int parse_words(const struct words *words, const char *text, uint64_t *bits) {
        char name[64];

        for (const char *at = text;;) {
                size_t n = strcspn(at, ",");
                snprintf(name, sizeof name, "%.*s", (int)n, at);
                uint64_t of_name = name[0] == '+' || name[0] == '-' ? words->bits_of(name + 1) : 0;

                if (!of_name) {
                        cli_complain("%s: '%s' is no %s with + or - before it", words->option, name, words->kind);
                        return -EINVAL;
                }
                *bits = name[0] == '+' ? *bits | of_name : *bits & ~of_name;
                if (!at[n])
                        return 0;
                at += n + 1;
        }
}

static uint64_t capability_bits(const char *name) {
        if (strcasecmp(name, "all") == 0)
                return own_bounding_set() ? own_bounding_set() : UINT64_MAX;
        if (strncasecmp(name, "cap_", 4) == 0)
                name += 4;
        for (int i = 0; fsrv_capability_name(i); i++)
                if (strcasecmp(name, fsrv_capability_name(i)) == 0)
                        return UINT64_C(1) << i;
        return 0;
}

static uint64_t securebit(const char *name) {
        static const struct {
                const char *name;
                uint64_t bit;
        } known[] = {
                { "noroot", SECBIT_NOROOT },
                { "noroot_locked", SECBIT_NOROOT_LOCKED },
                { "no_setuid_fixup", SECBIT_NO_SETUID_FIXUP },
                { "no_setuid_fixup_locked", SECBIT_NO_SETUID_FIXUP_LOCKED },
                { "keep_caps_locked", SECBIT_KEEP_CAPS_LOCKED },
                { "no_cap_ambient_raise", SECBIT_NO_CAP_AMBIENT_RAISE },
                { "no_cap_ambient_raise_locked", SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED },
        };

        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
                if (strcmp(name, known[i].name) == 0)
                        return known[i].bit;
        return 0;
}

static int take_securebits(struct fsrv_attributes *attributes, const char *text) {
        const struct words words = { "--securebits", securebit, "securebit of capabilities(7)" };
        int own = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
        uint64_t bits = own < 0 ? 0 : (uint64_t)own;
        int r = parse_words(&words, text, &bits);

        attributes->securebits = (uint32_t)bits;
        attributes->mask |= FSRV_ATTRIBUTE_SECUREBITS;
        return r;
}

static int take_set(struct fsrv_attributes *attributes, const char *option, const char *text, uint64_t own,
                    uint64_t bit, uint64_t *ret_set) {
        const struct words words = { option, capability_bits, "capability or 'all'" };

        *ret_set = attributes->mask & bit ? *ret_set : own;
        attributes->mask |= bit;
        return parse_words(&words, text, ret_set);
}

int cli_capabilities_take_option(struct fsrv_attributes *a, int c, const char *text) {
        switch (c) {
        case CLI_OPT_BOUNDING_SET:
                return take_set(a, "--bounding-set", text, own_bounding_set(), FSRV_ATTRIBUTE_CAP_BOUNDING,
                                &a->cap_bounding);
        case CLI_OPT_AMBIENT_CAPS:
                return take_set(a, "--ambient-caps", text, own_ambient_set(), FSRV_ATTRIBUTE_CAP_AMBIENT,
                                &a->cap_ambient);
        case CLI_OPT_INH_CAPS:
                return take_set(a, "--inh-caps", text, own_inheritable_set(), FSRV_ATTRIBUTE_CAP_INHERITABLE,
                                &a->cap_inheritable);
        case CLI_OPT_SECUREBITS:
                return take_securebits(a, text);
        default:
                return 1;
        }
}
