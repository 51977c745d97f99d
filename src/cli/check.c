/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cli.h"

#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
        "Usage: forkserver check --preload MODULE [OPTION]...\n"
        "Load modules as a server would, and tell of each what that costs and whether\n"
        "forking after it is safe.\n"
        "\n"
        "      --preload MODULE   a shared object to load; may be given more than once\n"
        "      --timeout SECONDS  for loading all of them (default: 60)\n"
        "      --json             print one JSON object instead\n"
        "      --help             show this help\n"
        "\n"
        "For each module: the time to load it, the memory that became private and dirty,\n"
        "the page-table entries that each fork has to copy because of it, the threads it\n"
        "left running (those that end when the process forks do not count), the files it\n"
        "left open, and a verdict:\n"
        "  safe to fork\n"
        "  risky: …  it left threads, which no child has, or something that all children\n"
        "            would share: sockets, epoll, eventfd, io_uring, devices. (Plain files\n"
        "            and pipes are listed, and not held against it.)\n"
        "  fails: …  it cannot be loaded\n"
        "\n"
        "Exit code: 0 if all can be loaded, 1 if one cannot; 125 if forkserver itself fails.\n";

enum { OPT_PRELOAD = 256, OPT_TIMEOUT, OPT_JSON, OPT_HELP };

static const struct option options[] = {
        { "preload", required_argument, NULL, OPT_PRELOAD },
        { "timeout", required_argument, NULL, OPT_TIMEOUT },
        { "json", no_argument, NULL, OPT_JSON },
        { "help", no_argument, NULL, OPT_HELP },
        { 0 },
};

struct summary {
        bool json;
        unsigned modules, risky, failing;
};

static void print_text(const struct fsrv_module_report *report) {
        printf("%s: %s\n", report->module, report->verdict);
        if (report->err)
                return;
        printf("    load %.1f ms, private memory %" PRIu64 " KiB, a fork copies %" PRIu64 " page-table entries more\n",
               (double)report->load_us / 1000, report->private_dirty_kib, report->fork_pages);
        for (size_t i = 0; i < report->n_threads; i++)
                printf("    thread %s\n", report->threads[i]);
        for (size_t i = 0; i < report->n_fds; i++)
                printf("    fd %d: %s, %s\n", report->fds[i].fd, report->fds[i].kind, report->fds[i].what);
}

static void print_member(const char *name, const char *text) {
        printf("\"%s\":", name);
        cli_json_string(stdout, text);
}

static void print_json(const struct fsrv_module_report *report) {
        putchar('{');
        print_member("module", report->module);
        putchar(',');
        print_member("verdict", report->verdict);
        printf(",\"errno\":%d,\"load_ms\":%.3f,\"private_dirty_kib\":%" PRIu64 ",\"fork_pages\":%" PRIu64 ",\"threads\":[",
               report->err, (double)report->load_us / 1000, report->private_dirty_kib, report->fork_pages);
        for (size_t i = 0; i < report->n_threads; i++) {
                if (i)
                        putchar(',');
                cli_json_string(stdout, report->threads[i]);
        }
        printf("],\"fds\":[");
        for (size_t i = 0; i < report->n_fds; i++) {
                printf("%s{\"fd\":%d,", i ? "," : "", report->fds[i].fd);
                print_member("kind", report->fds[i].kind);
                putchar(',');
                print_member("what", report->fds[i].what);
                putchar('}');
        }
        printf("]}");
}

static void on_report(const struct fsrv_module_report *report, void *data) {
        struct summary *summary = data;

        if (summary->json && summary->modules > 0)
                putchar(',');
        summary->modules++;
        summary->failing += report->err != 0;
        summary->risky += strncmp(report->verdict, "risky", 5) == 0;
        if (summary->json)
                print_json(report);
        else
                print_text(report);
        fflush(stdout);
}

static int parse(int argc, char **argv, struct cli_target *target, int *ret_timeout_ms, bool *ret_json) {
        double seconds;
        int c;

        opterr = 0;
        while ((c = getopt_long(argc, argv, "+:", options, NULL)) != -1)
                switch (c) {
                case OPT_PRELOAD:
                        if (cli_target_add_preload(target, optarg) < 0)
                                return CLI_EXIT_OURS;
                        break;
                case OPT_TIMEOUT:
                        if (cli_parse_seconds(optarg, &seconds) < 0)
                                return CLI_EXIT_OURS;
                        *ret_timeout_ms = seconds >= INT_MAX / 1000 ? INT_MAX : (int)cli_milliseconds(seconds);
                        break;
                case OPT_JSON:
                        *ret_json = true;
                        break;
                case OPT_HELP:
                        return fputs(help, stdout) < 0 ? CLI_EXIT_OURS : -1;
                default:
                        return cli_bad_option("check", c, argv);
                }
        if (optind < argc)
                return cli_usage_error("check", "unexpected argument '%s'", argv[optind]);
        if (target->n_preload == 0)
                return cli_usage_error("check", "--preload is missing: what is to be checked?");
        return 0;
}

static int check(const struct cli_target *target, int timeout_ms, bool json) {
        const struct fsrv_server_options server = {
                .size = sizeof server, .preload = target->preload, .preload_timeout_ms = timeout_ms
        };
        struct summary summary = { .json = json };
        struct fsrv_error error = { 0 };

        if (json)
                printf("{\"modules\":[");
        int r = fsrv_check_preload(&server, on_report, &summary, &error);
        if (json)
                printf("]}\n");
        else if (r >= 0)
                printf("%u module%s: %u safe to fork, %u risky, %u failing%s\n", summary.modules,
                       summary.modules == 1 ? "" : "s", summary.modules - summary.risky - summary.failing, summary.risky,
                       summary.failing, summary.modules < target->n_preload ? "; the rest was not loaded" : "");
        if (r < 0) {
                cli_complain_error(&error);
                return CLI_EXIT_OURS;
        }
        return r > 0 ? 1 : 0;
}

int cli_check(int argc, char **argv) {
        struct cli_target target = CLI_TARGET_INIT;
        int timeout_ms = 0;
        bool json = false;
        int r = parse(argc, argv, &target, &timeout_ms, &json);

        if (r == 0)
                r = check(&target, timeout_ms, json);
        cli_target_done(&target);
        return r < 0 ? 0 : r;
}
