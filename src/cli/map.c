/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
        "Usage: forkserver map [OPTION]... [--] PROGRAM [ARG]...\n"
        "   or: forkserver map [OPTION]... --call MODULE:FUNCTION [ARG]...\n"
        "Run one process for each line of standard input.\n"
        "\n"
        "{} in an ARG is replaced by the line; without any, the line is added as the last argument. No shell is\n"
        "involved and nothing is quoted. The processes' own standard input is the null device; what they print\n"
        "comes out whole, item by item, when each has ended.\n"
        "\n"
        "  -j, --jobs N           processes at a time (default: number of CPUs)\n"
        "  -0, --null             items end with NUL instead of a newline\n"
        "  -a, --arg-file FILE    read items from FILE\n"
        "  -k, --ordered          output in the order of the items, not as they end\n"
        "      --tag              put the item and a TAB before each line of output; a last line without its newline\n"
        "                         gets one\n"
        "  -u, --ungroup          do not hold output back: it may mix\n"
        "      --dry-run          print the command lines, run nothing\n"
        "      --timeout TIME     kill a process after this time: seconds, or as in 500ms, 2m, 1h, 1d\n"
        "      --halt N           start nothing new after N failures\n"
        "      --json FILE        one JSON object a line for each item: item, pid, status (exit code or null), signal\n"
        "                         (number or null), start, end, rusage; error if it could not be started. Bytes that\n"
        "                         are not UTF-8 are written as \\udc80 to \\udcff\n"
        "      --progress         a summary at the end, also when standard error is no terminal\n"
        "      --quiet            neither progress nor summary on a terminal\n"
        "      --preload M        load module M once, before all (may be repeated)\n"
        "      --preload-timeout TIME\n"
        "                         limit for loading all modules (default: 60)\n"
        "      --memory MODE      what is done to the loaded memory, so that a process costs "
        "the same however much it is:\n"
        "                         auto (default), freeze, collapse, off\n"
        "      --socket PATH      use the server that listens at PATH\n"
        "      --server-uid USER  whom that server must belong to, a name or a number (default: yourself or root)\n"
        "  -h, --help             show this help\n"
        "\n"
        "The first ^C (SIGINT, SIGTERM, SIGHUP) starts nothing new, the second kills. A death by a signal is told on\n"
        "standard error, a mere exit code is not.\n"
        "Exit code: 0; 123 if an item failed; 125 if forkserver itself did; 126 if PROGRAM cannot be run, 127 if it\n"
        "is not found; 128 + signal after ^C and the like.\n";

/* ---- options ---- */

enum {
        OPT_TAG = 256,
        OPT_DRY_RUN,
        OPT_TIMEOUT,
        OPT_HALT,
        OPT_JSON,
        OPT_PRELOAD,
        OPT_PRELOAD_TIMEOUT,
        OPT_MEMORY,
        OPT_SOCKET,
        OPT_SERVER_UID,
        OPT_CALL,
        OPT_PROGRESS,
        OPT_QUIET
};

static const struct option long_options[] = {
        { "jobs", required_argument, NULL, 'j' },
        { "null", no_argument, NULL, '0' },
        { "arg-file", required_argument, NULL, 'a' },
        { "ordered", no_argument, NULL, 'k' },
        { "ungroup", no_argument, NULL, 'u' },
        { "tag", no_argument, NULL, OPT_TAG },
        { "dry-run", no_argument, NULL, OPT_DRY_RUN },
        { "timeout", required_argument, NULL, OPT_TIMEOUT },
        { "halt", required_argument, NULL, OPT_HALT },
        { "json", required_argument, NULL, OPT_JSON },
        { "progress", no_argument, NULL, OPT_PROGRESS },
        { "quiet", no_argument, NULL, OPT_QUIET },
        { "preload", required_argument, NULL, OPT_PRELOAD },
        { "preload-timeout", required_argument, NULL, OPT_PRELOAD_TIMEOUT },
        { "memory", required_argument, NULL, OPT_MEMORY },
        { "socket", required_argument, NULL, OPT_SOCKET },
        { "server-uid", required_argument, NULL, OPT_SERVER_UID },
        { "call", required_argument, NULL, OPT_CALL },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
};

static int take_option(struct map_options *options, int c, char **argv) {
        struct cli_target *target = &options->target;

        switch (c) {
        case 'j':
                return cli_parse_number("--jobs", optarg, 1, 10000, &options->jobs);
        case OPT_HALT:
                return cli_parse_number("--halt", optarg, 1, 1000000000, &options->halt);
        case OPT_TIMEOUT:
                return cli_parse_seconds(optarg, &target->timeout);
        case OPT_SERVER_UID:
                return cli_parse_uid("--server-uid", optarg, &target->server_uid);
        case OPT_MEMORY:
                return cli_parse_memory(optarg, &target->memory);
        case OPT_PRELOAD_TIMEOUT:
                return cli_parse_preload_timeout(optarg, &target->preload_timeout_ms);
        case OPT_PRELOAD:
                return cli_target_add_preload(target, optarg);
        case '0':
                options->separator = 0;
                return 0;
        case 'a':
                options->file = optarg;
                return 0;
        case 'k':
                options->ordered = true;
                return 0;
        case 'u':
                options->ungroup = true;
                return 0;
        case OPT_TAG:
                options->tag = true;
                return 0;
        case OPT_DRY_RUN:
                options->dry_run = true;
                return 0;
        case OPT_JSON:
                options->json = optarg;
                return 0;
        case OPT_PROGRESS:
                options->progress = true;
                return 0;
        case OPT_QUIET:
                options->quiet = true;
                return 0;
        case OPT_SOCKET:
                return cli_parse_socket(optarg, &target->socket_path);
        case OPT_CALL:
                target->entry = optarg;
                return 0;
        default:
                cli_bad_option("map", c, argv);
                return -EINVAL;
        }
}

static bool is_entry(const char *text) {
        const char *colon = strrchr(text, ':');

        return colon && colon > text && colon[1];
}

/* 0: go on; 1: help was asked for; -EINVAL with a complaint. */
static int parse(struct map_options *options, int argc, char **argv) {
        cpu_set_t cpus;
        int c, r = 0;

        options->separator = '\n';
        options->jobs = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (unsigned long)CPU_COUNT(&cpus)
                                                                      : (unsigned long)sysconf(_SC_NPROCESSORS_ONLN);
        while (r == 0 && (c = getopt_long(argc, argv, "+:hj:0a:ku", long_options, NULL)) != -1) {
                if (c == 'h')
                        return 1;
                r = take_option(options, c, argv);
        }
        if (r < 0)
                return r;
        options->args = argv + optind;
        if (options->target.entry && !is_entry(options->target.entry)) {
                cli_usage_error("map", "--call: '%s' is not MODULE:FUNCTION", options->target.entry);
                return -EINVAL;
        }
        if (!options->target.entry && !options->args[0]) {
                cli_usage_error("map", "a PROGRAM is missing");
                return -EINVAL;
        }
        if (options->tag && options->ungroup) {
                cli_usage_error("map", "--tag and --ungroup exclude each other");
                return -EINVAL;
        }
        for (char **arg = options->args + (options->target.entry ? 0 : 1); *arg; arg++)
                options->has_place |= strstr(*arg, "{}") != NULL;
        return 0;
}

/* ---- the dry run ---- */

static void print_word(const char *word) {
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@%+";

        if (word[0] && !word[strspn(word, plain)]) {
                fputs(word, stdout);
                return;
        }
        putchar('\'');
        for (; *word; word++)
                if (*word == '\'')
                        fputs("'\\''", stdout);
                else
                        putchar(*word);
        putchar('\'');
}

static void print_command(char **list) {
        for (char **word = list; *word; word++) {
                if (word != list)
                        putchar(' ');
                print_word(*word);
        }
        putchar('\n');
}

static int fill_dry(struct map_items *items) {
        struct pollfd entry = { .fd = items->input.fd, .events = POLLIN };

        if (fflush(stdout) != 0) /* whoever reads along sees what there is, and an error ends it */
                return -errno;
        poll(&entry, 1, -1);
        return map_items_fill(items);
}

static int dry_run(const struct map_options *options, struct map_items *items) {
        signal(SIGPIPE, SIG_DFL);
        for (;;) {
                struct map_item *item;
                char **list;
                int r = map_items_take(items, &item);

                if (r == 0)
                        r = fill_dry(items);
                else if (r == 1) {
                        list = map_arguments(options, item);
                        r = list ? 0 : -ENOMEM;
                        if (list)
                                print_command(list);
                        free(list);
                        map_item_free(item);
                }
                if (r < 0)
                        return r == -ENODATA ? 0 : CLI_EXIT_OURS;
        }
}

int cli_map(int argc, char **argv) {
        struct map_options options = { .target = CLI_TARGET_INIT };
        struct map_items items;
        int code = CLI_EXIT_OURS, r = parse(&options, argc, argv);

        if (r == 1)
                code = fputs(help, stdout) < 0 ? CLI_EXIT_OURS : 0;
        else if (r == 0 && options.args[0] && !options.target.entry && !*options.args[0]) {
                cli_complain("no program has the empty name");
                code = CLI_EXIT_NOT_FOUND;
        } else if (r == 0 && map_items_open(&items, &options) == 0) {
                code = options.dry_run ? dry_run(&options, &items) : map_run(&options, &items);
                map_items_done(&items);
        }
        cli_target_done(&options.target);
        return code;
}
