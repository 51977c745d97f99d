/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ps_options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>

enum { OPT_SOCKET = 256, OPT_SERVER_UID, OPT_ALL, OPT_JSON, OPT_PSS, OPT_SORT, OPT_INTERVAL, OPT_COUNT };

/* clang-format off */
#define COMMON_OPTIONS \
        { "socket", required_argument, NULL, OPT_SOCKET }, \
        { "server-uid", required_argument, NULL, OPT_SERVER_UID }, \
        { "all", no_argument, NULL, OPT_ALL }, \
        { "sort", required_argument, NULL, OPT_SORT }, \
        { "pss", no_argument, NULL, OPT_PSS }, \
        { "json", no_argument, NULL, OPT_JSON }, \
        { "help", no_argument, NULL, 'h' }
/* clang-format on */

static const struct option options_of_ps[] = { COMMON_OPTIONS, { 0 } };

static const struct option options_of_top[] = {
        COMMON_OPTIONS,
        { "interval", required_argument, NULL, OPT_INTERVAL },
        { "count", required_argument, NULL, OPT_COUNT },
        { 0 },
};

static int parse_order(const char *text, uint32_t *ret_order) {
        static const char *const words[] = {
                [PS_BY_AGE] = "age", [PS_BY_CPU] = "cpu", [PS_BY_MEMORY] = "mem", [PS_BY_PID] = "pid", NULL
        };

        return cli_parse_word("--sort", text, words, ret_order);
}

static int parse_interval(const char *text, double *ret_seconds) {
        double seconds;
        int r = cli_parse_seconds(text, &seconds);

        if (r < 0)
                return r;
        if (seconds < 0.1 || seconds > INT_MAX / 1000) {
                cli_complain("--interval: '%s' is not at least 0.1 and at most %d seconds", text, INT_MAX / 1000);
                return -EINVAL;
        }
        *ret_seconds = seconds;
        return 0;
}

static int take_option(struct ps_options *options, int c, char **argv) {
        switch (c) {
        case OPT_SOCKET:
                return cli_parse_socket(optarg, &options->path);
        case OPT_SERVER_UID:
                return cli_parse_uid("--server-uid", optarg, &options->server_uid);
        case OPT_SORT:
                return parse_order(optarg, &options->order);
        case OPT_INTERVAL:
                return parse_interval(optarg, &options->interval);
        case OPT_COUNT:
                return cli_parse_number("--count", optarg, 1, INT_MAX, &options->count);
        case OPT_ALL:
                options->all = true;
                return 0;
        case OPT_JSON:
                options->json = true;
                return 0;
        case OPT_PSS:
                options->pss = true;
                return 0;
        case 'h':
                return fputs(options->help, stdout) < 0 ? -EIO : 1;
        default:
                cli_bad_option(options->command, c, argv);
                return -EINVAL;
        }
}

int ps_options_parse(int argc, char **argv, struct ps_options *options) {
        const struct option *known = options->is_top ? options_of_top : options_of_ps;
        int c, r = 0;

        opterr = 0;
        while (r == 0 && (c = getopt_long(argc, argv, "+:h", known, NULL)) != -1)
                r = take_option(options, c, argv);
        if (r == 0 && optind < argc) {
                cli_usage_error(options->command, "'%s' is one operand too many", argv[optind]);
                return -EINVAL;
        }
        if (r == 0 && !options->path) {
                cli_usage_error(options->command, "--socket PATH is missing");
                return -EINVAL;
        }
        return r;
}
