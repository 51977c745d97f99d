/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_ATTRIBUTE_OPTIONS_H
#define FORKSERVER_CLI_ATTRIBUTE_OPTIONS_H

/* The attributes of the process or processes of run, call and map, by options that are named and read as those of
 * prlimit(1), taskset(1), ionice(1) and setpriv(1). */

#include <sched.h>

#include "forkserver.h"

enum { CLI_LIMITS_MAX = 16, CLI_GROUPS_MAX = 64 };

struct cli_attributes {
        struct fsrv_attributes of; /* its lists are the next ones; all zeros: none was given */
        struct fsrv_limit limits[CLI_LIMITS_MAX];
        gid_t groups[CLI_GROUPS_MAX];
        cpu_set_t processors;
};

/* For getopt_long(). */
enum {
        CLI_OPT_RLIMIT = 1100,
        CLI_OPT_NICE,
        CLI_OPT_CPU_LIST,
        CLI_OPT_IONICE,
        CLI_OPT_OOM_SCORE_ADJ,
        CLI_OPT_REUID,
        CLI_OPT_REGID,
        CLI_OPT_GROUPS,
        CLI_OPT_CLEAR_GROUPS,
        CLI_OPT_BOUNDING_SET,
        CLI_OPT_AMBIENT_CAPS,
        CLI_OPT_INH_CAPS,
        CLI_OPT_SECUREBITS,
        CLI_OPT_NO_NEW_PRIVS,
        CLI_OPT_PDEATHSIG,
        CLI_OPT_CGROUP,
};
/* clang-format off */
#define CLI_ATTRIBUTE_OPTIONS \
        { "rlimit", required_argument, NULL, CLI_OPT_RLIMIT }, \
        { "nice", required_argument, NULL, CLI_OPT_NICE }, \
        { "cpu-list", required_argument, NULL, CLI_OPT_CPU_LIST }, \
        { "ionice", required_argument, NULL, CLI_OPT_IONICE }, \
        { "oom-score-adj", required_argument, NULL, CLI_OPT_OOM_SCORE_ADJ }, \
        { "reuid", required_argument, NULL, CLI_OPT_REUID }, \
        { "regid", required_argument, NULL, CLI_OPT_REGID }, \
        { "groups", required_argument, NULL, CLI_OPT_GROUPS }, \
        { "clear-groups", no_argument, NULL, CLI_OPT_CLEAR_GROUPS }, \
        { "bounding-set", required_argument, NULL, CLI_OPT_BOUNDING_SET }, \
        { "ambient-caps", required_argument, NULL, CLI_OPT_AMBIENT_CAPS }, \
        { "inh-caps", required_argument, NULL, CLI_OPT_INH_CAPS }, \
        { "securebits", required_argument, NULL, CLI_OPT_SECUREBITS }, \
        { "no-new-privs", no_argument, NULL, CLI_OPT_NO_NEW_PRIVS }, \
        { "pdeathsig", required_argument, NULL, CLI_OPT_PDEATHSIG }, \
        { "cgroup", required_argument, NULL, CLI_OPT_CGROUP }
/* clang-format on */

#define CLI_ATTRIBUTE_HELP \
        "\n" \
        "What the process may do, as prlimit, taskset, ionice and setpriv have it:\n" \
        "      --rlimit NAME=SOFT[:HARD]\n" \
        "                              a limit, as NOFILE=64, AS=2G or CORE=unlimited;\n" \
        "                              repeatable\n" \
        "      --nice N                the priority, -20 to 19\n" \
        "      --oom-score-adj N       -1000 to 1000; the kernel ends high ones first when\n" \
        "                              memory is short\n" \
        "      --cpu-list LIST         processors, as 0-3,8\n" \
        "      --ionice CLASS[:LEVEL]  realtime, best-effort or idle; 0 to 7\n" \
        "      --reuid USER, --regid GROUP, --groups LIST, --clear-groups\n" \
        "                              the ids: real, effective and saved; the other groups\n" \
        "      --bounding-set CAPS, --ambient-caps CAPS, --inh-caps CAPS\n" \
        "                              as -all,+net_bind_service\n" \
        "      --securebits BITS       as +noroot\n" \
        "      --no-new-privs          execve(2) gives no privileges any more\n" \
        "      --pdeathsig SIGNAL      the signal for when the server ends\n" \
        "      --cgroup PATH           a directory of cgroups, version 2\n"

/* Takes the option `c` with its argument. 0, -EINVAL with a complaint; 1: it is none of these. */
int cli_attributes_take_option(struct cli_attributes *attributes, int c);
/* What is wrong with them together; NULL: nothing. */
const char *cli_attributes_find_conflict(const struct cli_attributes *attributes);
/* Sets them. 0, or -errno and *error. */
int cli_attributes_set(const struct cli_attributes *attributes, struct fsrv_request *request, struct fsrv_error *error);

#endif
