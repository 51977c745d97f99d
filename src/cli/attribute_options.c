/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "attribute_options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "capability_options.h"
#include "cli.h"

/* ---- limits ---- */

enum { NAMES_SIZE = 256, RESOURCES = 32 };

static int find_resource(const char *name, size_t n) {
        for (int i = 0; i < RESOURCES; i++) {
                const char *known = fsrv_limit_name(i);

                if (known && strlen(known) == n && strncasecmp(known, name, n) == 0)
                        return i;
        }
        return -1;
}

static int refuse_resource(const char *text, size_t n) {
        char names[NAMES_SIZE] = "";

        for (int i = 0; i < RESOURCES; i++)
                if (fsrv_limit_name(i)) {
                        strcat(names, names[0] ? ", " : "");
                        strcat(names, fsrv_limit_name(i));
                }
        cli_complain("--rlimit: '%.*s' is none of %s", (int)n, text, names);
        return -EINVAL;
}

/* "64", "2G", "unlimited"; up to `end`. */
static int parse_value(const char *text, size_t n, uint64_t *ret_value) {
        static const char units[] = "KMGT";
        char *end;

        if ((n == 9 && strncasecmp(text, "unlimited", n) == 0) || (n == 8 && strncasecmp(text, "infinity", n) == 0)) {
                *ret_value = RLIM_INFINITY;
                return 0;
        }
        errno = 0;
        uint64_t value = strtoull(text, &end, 10);
        const char *unit = end < text + n && *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
        unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
        if (!isdigit((unsigned char)text[0]) || errno || end + (unit != NULL) != text + n ||
            value > (UINT64_MAX - 2) >> shift)
                return -EINVAL;
        *ret_value = value << shift;
        return 0;
}

/* SOFT alone is both, as are the parts that a colon leaves empty what they were. */
static int parse_limit(const char *text, struct fsrv_limit *limit) {
        const char *colon = strchr(text, ':');
        size_t n = colon ? (size_t)(colon - text) : strlen(text);

        limit->soft = limit->hard = FSRV_LIMIT_SAME;
        if ((n > 0 || !colon) && parse_value(text, n, &limit->soft) < 0)
                return -EINVAL;
        if (!colon)
                limit->hard = limit->soft;
        else if (colon[1] && parse_value(colon + 1, strlen(colon + 1), &limit->hard) < 0)
                return -EINVAL;
        return n == 0 && colon && !colon[1] ? -EINVAL : 0;
}

static int add_limit(struct cli_attributes *attributes, const char *text) {
        size_t n = strcspn(text, "=");
        const char *name = strncasecmp(text, "RLIMIT_", 7) == 0 ? text + 7 : text;
        int resource = find_resource(name, (size_t)(text + n - name));
        size_t at = 0;

        if (resource < 0)
                return refuse_resource(text, n);
        while (at < attributes->of.n_limits && attributes->limits[at].resource != resource)
                at++; /* the last one counts */
        if (at == attributes->of.n_limits)
                attributes->of.n_limits++;
        attributes->limits[at].resource = resource;
        if (text[n] != '=' || parse_limit(text + n + 1, &attributes->limits[at]) < 0) {
                cli_complain("--rlimit: '%s' is not NAME=SOFT[:HARD] with numbers, as NOFILE=64 or AS=2G:4G", text);
                return -EINVAL;
        }
        attributes->of.mask |= FSRV_ATTRIBUTE_LIMITS;
        return 0;
}

/* ---- processors and priorities ---- */

static int parse_integer(const char *what, const char *text, long least, long most, int *ret_number) {
        char *end;
        long number = strtol(text, &end, 10);
        const char *digits = text + (*text == '-' || *text == '+');

        if (!isdigit((unsigned char)*digits) || *end || number < least || number > most) {
                cli_complain("%s: '%s' is not a whole number from %ld to %ld", what, text, least, most);
                return -EINVAL;
        }
        *ret_number = (int)number;
        return 0;
}

/* "0-3,8", and "0-8:2", which is every second one. */
static bool parse_processors(const char *text, cpu_set_t *set) {
        for (const char *at = text;;) {
                unsigned long first, last, step = 1;
                char *end;

                if (!isdigit((unsigned char)*at))
                        return false;
                first = last = strtoul(at, &end, 10);
                if (*end == '-' && isdigit((unsigned char)end[1]))
                        last = strtoul(end + 1, &end, 10);
                if (*end == ':' && isdigit((unsigned char)end[1]))
                        step = strtoul(end + 1, &end, 10);
                if (first > last || last >= CPU_SETSIZE || step == 0)
                        return false;
                for (unsigned long i = first; i <= last; i += step)
                        CPU_SET(i, set);
                if (*end != ',')
                        return *end == 0;
                at = end + 1;
        }
}

static int take_processors(struct cli_attributes *attributes, const char *text) {
        CPU_ZERO(&attributes->processors);
        if (!parse_processors(text, &attributes->processors)) {
                cli_complain("--cpu-list: '%s' is not a list of processors below %d, as 0-3,8", text, CPU_SETSIZE);
                return -EINVAL;
        }
        attributes->of.mask |= FSRV_ATTRIBUTE_AFFINITY;
        return 0;
}

static int take_io_priority(struct fsrv_attributes *of, const char *text) {
        static const char *const classes[] = { "none", "realtime", "best-effort", "idle", NULL };
        size_t n = strcspn(text, ":");
        char name[16] = "";
        uint32_t class;

        memcpy(name, text, n < sizeof name ? n : sizeof name - 1);
        if (n == 1 && *name >= '0' && *name <= '3')
                class = (uint32_t)(*name - '0');
        else if (cli_parse_word("--ionice", name, classes, &class) < 0)
                return -EINVAL;
        of->io_class = (int)class;
        of->io_level = class == 1 || class == 2 ? 4 : 0;
        of->mask |= FSRV_ATTRIBUTE_IO_PRIORITY;
        return text[n] ? parse_integer("--ionice", text + n + 1, 0, 7, &of->io_level) : 0;
}

static int take_nice(struct fsrv_attributes *of, const char *text) {
        of->mask |= FSRV_ATTRIBUTE_NICE;
        return parse_integer("--nice", text, -20, 19, &of->nice);
}

static int take_oom_score_adj(struct fsrv_attributes *of, const char *text) {
        of->mask |= FSRV_ATTRIBUTE_OOM_SCORE_ADJ;
        return parse_integer("--oom-score-adj", text, -1000, 1000, &of->oom_score_adj);
}

/* ---- ids ---- */

static int take_groups(struct cli_attributes *attributes, const char *text) {
        char name[256];

        attributes->of.n_groups = 0;
        for (const char *at = text;; at++) {
                size_t n = strcspn(at, ",");

                if (attributes->of.n_groups == CLI_GROUPS_MAX || n >= sizeof name) {
                        cli_complain("--groups: there are more than %d groups", CLI_GROUPS_MAX);
                        return -E2BIG;
                }
                memcpy(name, at, n);
                name[n] = 0;
                if (cli_parse_gid("--groups", name, &attributes->groups[attributes->of.n_groups++]) < 0)
                        return -EINVAL;
                at += n;
                if (!*at)
                        break;
        }
        attributes->of.mask |= FSRV_ATTRIBUTE_GROUPS;
        return 0;
}

/* A name with or without SIG, a number, or "clear". */
static int take_pdeathsig(struct fsrv_attributes *of, const char *text) {
        const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;

        of->mask |= FSRV_ATTRIBUTE_PDEATHSIG;
        of->pdeathsig = 0;
        if (strcmp(text, "clear") == 0)
                return 0;
        for (int i = 1; i < NSIG; i++)
                if (sigabbrev_np(i) && strcasecmp(name, sigabbrev_np(i)) == 0)
                        of->pdeathsig = i;
        if (of->pdeathsig ||
            (isdigit((unsigned char)*text) && parse_integer("--pdeathsig", text, 1, 64, &of->pdeathsig) == 0))
                return 0;
        if (!isdigit((unsigned char)*text))
                cli_complain("--pdeathsig: '%s' is no signal, nor 'clear'", text);
        return -EINVAL;
}

/* ---- all of them ---- */

int cli_attributes_take_option(struct cli_attributes *attributes, int c) {
        struct fsrv_attributes *of = &attributes->of;

        switch (c) {
        case CLI_OPT_RLIMIT:
                return add_limit(attributes, optarg);
        case CLI_OPT_NICE:
                return take_nice(of, optarg);
        case CLI_OPT_CPU_LIST:
                return take_processors(attributes, optarg);
        case CLI_OPT_IONICE:
                return take_io_priority(of, optarg);
        case CLI_OPT_OOM_SCORE_ADJ:
                return take_oom_score_adj(of, optarg);
        case CLI_OPT_REUID:
                of->mask |= FSRV_ATTRIBUTE_UID;
                return cli_parse_uid("--reuid", optarg, &of->uid);
        case CLI_OPT_REGID:
                of->mask |= FSRV_ATTRIBUTE_GID;
                return cli_parse_gid("--regid", optarg, &of->gid);
        case CLI_OPT_GROUPS:
                return take_groups(attributes, optarg);
        case CLI_OPT_CLEAR_GROUPS:
                of->mask |= FSRV_ATTRIBUTE_GROUPS;
                of->n_groups = 0;
                return 0;
        case CLI_OPT_NO_NEW_PRIVS:
                of->mask |= FSRV_ATTRIBUTE_NO_NEW_PRIVS;
                return 0;
        case CLI_OPT_PDEATHSIG:
                return take_pdeathsig(of, optarg);
        case CLI_OPT_CGROUP:
                of->mask |= FSRV_ATTRIBUTE_CGROUP;
                of->cgroup = optarg;
                return 0;
        default:
                return cli_capabilities_take_option(of, c, optarg);
        }
}

/* As setpriv(1) has it: another group alone would leave the process in those of the server. */
const char *cli_attributes_find_conflict(const struct cli_attributes *attributes) {
        uint64_t mask = attributes->of.mask;

        if (mask & FSRV_ATTRIBUTE_GID && !(mask & FSRV_ATTRIBUTE_GROUPS))
                return "--regid needs --groups or --clear-groups: the process would keep the server's groups";
        return NULL;
}

int cli_attributes_set(const struct cli_attributes *attributes, struct fsrv_request *request,
                       struct fsrv_error *error) {
        struct fsrv_attributes of = attributes->of;

        of.size = sizeof of;
        of.limits = attributes->limits;
        of.groups = attributes->groups;
        of.affinity = &attributes->processors;
        of.affinity_size = sizeof attributes->processors;
        return of.mask ? fsrv_request_set_attributes(request, &of, error) : 0;
}
