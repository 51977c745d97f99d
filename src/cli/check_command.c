/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "check_exit.h"
#include "check_sandbox.h"
#include "cli.h"
#include "text.h"

#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
        "Usage: forkserver check [OPTION]... MODULE...\n"
        "Load modules as a server would. Show for each what that costs and what speaks\n"
        "against forking after it.\n"
        "\n"
        "      --preload MODULE   the same as an operand; may be given more than once\n"
        "      --strict           exit with 1 also if a module is risky\n"
        "      --timeout TIME     limit for loading all of them (default: 60 seconds; as in\n"
        "                         500ms, 2m, 1h)\n"
        "      --memory MODE      auto, freeze, collapse or off, as a server's\n"
        "      --verbose          also show what is done to each mapping of the loaded\n"
        "                         memory: frozen, collapsed or left alone, and why\n"
        "      --sandbox PROFILE[,WORD]...\n"
        "                         show instead what of a sandbox this system can enforce, and\n"
        "                         by what\n"
        "      --json             print one JSON object instead\n"
        "  -h, --help             show this help\n"
        "\n"
        "Each module's report has the time to load it, the memory that became private\n"
        "and dirty, the page-table entries that each fork has to copy because of it, the\n"
        "threads it left running, the files it left open, and a verdict. Threads that end\n"
        "when the process forks do not count. The verdicts:\n"
        "  no risk found  nothing speaks against forking after it is loaded\n"
        "  risky: …       it left threads, which no child has, or something that all\n"
        "                 children would share: sockets, epoll, eventfd, io_uring,\n"
        "                 devices. Plain files and pipes are shown, but are no risk.\n"
        "  fails: …       it cannot be loaded\n"
        "\n"
        "Then processes are tried that do nothing but end. The report shows what that\n"
        "costs, with the modules' exit functions and destructors and without them\n"
        "(--quick-exit). Functions of a module are not called, so what they do in a\n"
        "process isn't tried.\n"
        "\n"
        "Forks don't copy memory that is frozen. Of collapsed memory they copy one entry\n"
        "for 2 MiB. Memory that is left alone they copy page by page.\n"
        "\n"
        "A sandbox is one of these profiles:\n"
        "  untrusted     no network, exec or other processes; the system's libraries are\n"
        "                the only files; limits of memory, processor time and more\n"
        "  pure-compute  as untrusted, with no files and no new processes at all\n"
        "  no-network    without network\n"
        "  no-exec       without executing programs\n"
        "  none          nothing but what these words add, which may follow any of them:\n"
        "  read=PATH, exec=PATH, write=PATH, make=PATH\n"
        "                files and directories that may be read; executed too; written to\n"
        "                too; made and removed too. In a PATH '\\,' is a comma\n"
        "  connect=PORT, listen=PORT\n"
        "                TCP ports; under untrusted with allow=network,allow=sockets\n"
        "  refuse=GROUP, allow=GROUP\n"
        "                system calls: exec, network, sockets, others, kernel, metadata,\n"
        "                files, namespaces, fork\n"
        "  filter=FILE   one more filter of system calls, as bwrap --seccomp has it\n"
        "  limit=NAME:SIZE\n"
        "                a limit of setrlimit(2): AS, CPU, FSIZE, NOFILE, NPROC ...\n"
        "  unshare=NAME  a namespace of its own: net, ipc, uts, user, mount, cgroup\n"
        "  ro-bind=PATH[:TARGET], bind=PATH[:TARGET], tmpfs=TARGET, proc=TARGET,\n"
        "  read-only=TARGET, new-root\n"
        "                mounts, as those of bwrap; with new-root they are all there is\n"
        "  kill          a refused system call kills the process; else it fails\n"
        "  spawn         its processes may spawn, into the same sandbox\n"
        "  mdwe          memory that was writable cannot be executed\n"
        "  strict        as --strict: a gap is an error\n"
        "\n"
        "Exit code: 0 if all can be loaded, 1 if one cannot (with --strict: or if one is\n"
        "risky), or if a sandbox has a gap; 125 if forkserver itself fails.\n";

enum { OPT_PRELOAD = 256, OPT_TIMEOUT, OPT_MEMORY, OPT_VERBOSE, OPT_STRICT, OPT_JSON, OPT_SANDBOX };

static const struct option options[] = {
        { "preload", required_argument, NULL, OPT_PRELOAD },
        { "timeout", required_argument, NULL, OPT_TIMEOUT },
        { "memory", required_argument, NULL, OPT_MEMORY },
        { "verbose", no_argument, NULL, OPT_VERBOSE },
        { "strict", no_argument, NULL, OPT_STRICT },
        { "json", no_argument, NULL, OPT_JSON },
        { "sandbox", required_argument, NULL, OPT_SANDBOX },
        { "help", no_argument, NULL, 'h' },
        { 0 },
};

struct wish {
        int timeout_ms;
        bool verbose, strict, json;
};

struct summary {
        bool json;
        unsigned modules, risky, failing, mappings;
        uint64_t frozen, collapsed, left; /* bytes */
};

/* 6 ms for 1 GiB in pages of 4 KiB, as measured. */
#define US_PER_ENTRY 0.023

static void print_line(const char *before, const char *text) {
        fputs(before, stdout);
        cli_put_harmless(stdout, text);
        putchar('\n');
}

static void print_text(const struct fsrv_module_report *report) {
        cli_put_harmless(stdout, report->module);
        print_line(": ", report->verdict);
        if (report->err)
                return;
        printf("    load %.1f ms, private memory %" PRIu64 " KiB, a fork copies %" PRIu64
               " page-table entries more (some %.0f us)\n",
               (double)report->load_us / 1000, report->private_dirty_kib, report->fork_pages,
               (double)report->fork_pages * US_PER_ENTRY);
        for (size_t i = 0; i < report->n_threads; i++)
                print_line("    thread ", report->threads[i]);
        for (size_t i = 0; i < report->n_fds; i++) {
                printf("    fd %d: %s", report->fds[i].fd, report->fds[i].kind);
                print_line(", ", report->fds[i].what);
        }
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
        printf(",\"errno\":%d,\"load_ms\":%.3f,\"private_dirty_kib\":%" PRIu64 ",\"fork_pages\":%" PRIu64
               ",\"threads\":[",
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

static void print_mapping_text(const struct fsrv_mapping_report *report) {
        const struct {
                const char *done;
                uint64_t bytes;
        } parts[] = { { "frozen", report->frozen },
                      { "collapsed", report->collapsed },
                      { "left alone", report->left } };
        const char *separator = ":";

        printf("    %012" PRIx64 "-%012" PRIx64 " ", report->start, report->end);
        cli_put_harmless(stdout, report->what[0] ? report->what : "anonymous");
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
                if (parts[i].bytes) {
                        printf("%s %" PRIu64 " KiB %s", separator, parts[i].bytes / 1024, parts[i].done);
                        separator = ",";
                }
        fputs(separator[0] == ':' ? ": left alone" : "", stdout);
        print_line(report->why[0] ? ": " : "", report->why);
}

static void print_mapping_json(const struct fsrv_mapping_report *report) {
        printf("{\"start\":%" PRIu64 ",\"end\":%" PRIu64 ",", report->start, report->end);
        print_member("what", report->what);
        printf(",\"frozen\":%" PRIu64 ",\"collapsed\":%" PRIu64 ",\"left\":%" PRIu64 ",", report->frozen,
               report->collapsed, report->left);
        print_member("why", report->why);
        putchar('}');
}

static void on_mapping(const struct fsrv_mapping_report *report, void *data) {
        struct summary *summary = data;

        if (summary->json)
                fputs(summary->mappings ? "," : "],\"mappings\":[", stdout);
        summary->mappings++;
        summary->frozen += report->frozen;
        summary->collapsed += report->collapsed;
        summary->left += report->left;
        if (summary->json)
                print_mapping_json(report);
        else
                print_mapping_text(report);
}

static void print_summary(const struct summary *summary, const struct cli_target *target, bool verbose) {
        if (verbose && target->memory == FSRV_MEMORY_OFF)
                printf("memory: left alone, as asked for\n");
        else if (verbose)
                printf("memory: %" PRIu64 " KiB frozen, %" PRIu64 " KiB collapsed, %" PRIu64
                       " KiB left alone, in %u mappings\n",
                       summary->frozen / 1024, summary->collapsed / 1024, summary->left / 1024, summary->mappings);
        printf("%u module%s: %u with no risk found, %u risky, %u failing%s\n", summary->modules,
               summary->modules == 1 ? "" : "s", summary->modules - summary->risky - summary->failing, summary->risky,
               summary->failing, summary->modules < target->n_preload ? "; the rest was not loaded" : "");
}

static int parse(int argc, char **argv, struct cli_target *target, struct wish *ret_wish) {
        double seconds;
        int c;

        opterr = 0;
        while ((c = getopt_long(argc, argv, "+:h", options, NULL)) != -1)
                switch (c) {
                case OPT_PRELOAD:
                        if (cli_target_add_preload(target, optarg) < 0)
                                return CLI_EXIT_OURS;
                        break;
                case OPT_TIMEOUT:
                        if (cli_parse_seconds(optarg, &seconds) < 0)
                                return CLI_EXIT_OURS;
                        ret_wish->timeout_ms = seconds >= INT_MAX / 1000 ? INT_MAX : (int)cli_milliseconds(seconds);
                        break;
                case OPT_JSON:
                        ret_wish->json = true;
                        break;
                case OPT_MEMORY:
                        if (cli_parse_memory(optarg, &target->memory) < 0)
                                return CLI_EXIT_OURS;
                        break;
                case OPT_STRICT:
                        ret_wish->strict = true;
                        break;
                case OPT_SANDBOX:
                        if (cli_sandbox_take(&target->sandbox, optarg) < 0)
                                return CLI_EXIT_OURS;
                        break;
                case OPT_VERBOSE:
                        ret_wish->verbose = true;
                        break;
                case 'h':
                        return fputs(help, stdout) < 0 ? CLI_EXIT_OURS : -1;
                default:
                        return cli_bad_option("check", c, argv);
                }
        for (; optind < argc; optind++)
                if (cli_target_add_preload(target, argv[optind]) < 0)
                        return CLI_EXIT_OURS;
        if (target->n_preload > 0 && target->sandbox.text)
                return cli_usage_error("check", "--sandbox checks the system; modules are checked without it");
        if (target->n_preload == 0 && !target->sandbox.text)
                return cli_usage_error("check", "a MODULE is missing: what is to be checked?");
        return 0;
}

static void print_end(const struct summary *summary, const struct cli_target *target, const struct wish *wish,
                      const struct check_exit *trial) {
        if (wish->json) {
                printf("%s]", wish->verbose && !summary->mappings ? "],\"mappings\":[" : "");
                check_exit_print_json(trial);
                puts("}");
                return;
        }
        check_exit_print_text(trial);
        print_summary(summary, target, wish->verbose);
}

static int check(const struct cli_target *target, const struct wish *wish) {
        const struct fsrv_server_options server = { .size = sizeof server,
                                                    .preload = target->preload,
                                                    .preload_timeout_ms = wish->timeout_ms,
                                                    .memory = target->memory };
        struct summary summary = { .json = wish->json };
        struct check_exit trial = { .verdict = CHECK_EXIT_UNTRIED };
        struct fsrv_error error = { 0 };

        if (wish->json)
                printf("{\"modules\":[");
        int r = fsrv_check_preload(&server, on_report, wish->verbose ? on_mapping : NULL, &summary, &error);
        if (r == 0)
                check_exit_try(&server, &trial);
        if (r >= 0 || wish->json)
                print_end(&summary, target, wish, &trial);
        if (r < 0) {
                cli_complain_error(&error);
                return CLI_EXIT_OURS;
        }
        return r > 0 || trial.verdict == CHECK_EXIT_FAILS ||
                               (wish->strict && (summary.risky || trial.verdict == CHECK_EXIT_RISKY))
                       ? 1
                       : 0;
}

int cli_check(int argc, char **argv) {
        struct cli_target target = CLI_TARGET_INIT;
        struct wish wish = { 0 };
        int r = parse(argc, argv, &target, &wish);

        target.sandbox.strict = wish.strict;
        if (r == 0)
                r = target.sandbox.text ? check_sandbox(&target.sandbox, wish.json) : check(&target, &wish);
        cli_target_done(&target);
        return r < 0 ? 0 : r;
}
