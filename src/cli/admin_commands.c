/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cli.h"
#include "text.h"

/* stop, reload, ping, stats: questions to a named server about itself. */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char help_stop[] =
        "Usage: forkserver stop --socket PATH [OPTION]...\n"
        "Let the server at PATH finish, and wait for that. It takes no new requests and\n"
        "ends when its last process has ended.\n"
        "\n"
        "      --socket PATH      where it listens\n"
        "      --server-uid USER  the user that has to run it, a name or a number (default:\n"
        "                         you, or root)\n"
        "      --timeout TIME     wait no longer than this, in seconds or as in 500ms, 2m,\n"
        "                         1h; the server goes on finishing\n"
        "      --json             print the answer as a JSON object\n"
        "  -h, --help             show this help\n"
        "\n"
        "Exit code: 0 when it has ended; 125 otherwise.\n";

static const char help_reload[] =
        "Usage: forkserver reload --socket PATH [OPTION]...\n"
        "Have the server at PATH load its modules anew, and wait for that. The modules of\n"
        "before serve until the new ones are loaded, and stay if those can't be.\n"
        "\n"
        "      --socket PATH      where it listens\n"
        "      --server-uid USER  the user that has to run it, a name or a number (default:\n"
        "                         you, or root)\n"
        "      --timeout TIME     wait no longer than this, in seconds or as in 500ms, 2m,\n"
        "                         1h; the reload goes on\n"
        "      --json             print the answer as a JSON object\n"
        "  -h, --help             show this help\n"
        "\n"
        "Exit code: 0 when every process from now on has the new modules; 125 otherwise.\n";

static const char help_ping[] =
        "Usage: forkserver ping --socket PATH [OPTION]...\n"
        "Ask whether the server at PATH serves. One that still loads its modules does; one\n"
        "whose modules cannot be loaded does not.\n"
        "\n"
        "      --socket PATH      where it listens\n"
        "      --server-uid USER  the user that has to run it, a name or a number (default:\n"
        "                         you, or root)\n"
        "      --ready            don't say yes before it has loaded its modules\n"
        "      --wait TIME        wait so long at most until it listens and has loaded its\n"
        "                         modules, in seconds or as in 500ms, 2m, 1h\n"
        "      --json             print the answer as a JSON object\n"
        "  -h, --help             show this help\n"
        "\n"
        "Exit code: 0 if it serves; 125 otherwise.\n";

static const char help_stats[] =
        "Usage: forkserver stats --socket PATH [OPTION]...\n"
        "Show what the server at PATH counted since it started: a name and a value on\n"
        "each line. 'failures.STAGE' is shown for stages that had failures,\n"
        "'signals.SIGNAL' for signals that ended workers, 'zygote_pid' while there is a\n"
        "zygote, 'failure' while requests are refused, and 'replaced' if a loaded file has\n"
        "been replaced on disk since.\n"
        "\n"
        "      --socket PATH      where it listens\n"
        "      --server-uid USER  the user that has to run it, a name or a number (default:\n"
        "                         you, or root)\n"
        "      --json             print one JSON object instead\n"
        "      --prometheus       print OpenMetrics text instead, with histograms of times\n"
        "  -h, --help             show this help\n"
        "\n"
        "Exit code: 0; 125 if it doesn't answer.\n";

struct question {
        const char *command;
        const char *help;
        const char *path;
        uid_t server_uid;
        bool json;
        bool ready;
        bool prometheus;
        int timeout_ms;
        double wait;      /* for ping's connection; 0: there is one try */
        int64_t deadline; /* the end of that, in now_ms()'s time */
};

enum { OPT_SOCKET = 256, OPT_SERVER_UID, OPT_TIMEOUT, OPT_WAIT, OPT_JSON, OPT_READY, OPT_PROMETHEUS };

/* clang-format off */
#define COMMON_OPTIONS \
        { "socket", required_argument, NULL, OPT_SOCKET }, \
        { "server-uid", required_argument, NULL, OPT_SERVER_UID }, \
        { "json", no_argument, NULL, OPT_JSON }, \
        { "help", no_argument, NULL, 'h' }
/* clang-format on */

static const struct option options_with_timeout[] = {
        COMMON_OPTIONS,
        { "timeout", required_argument, NULL, OPT_TIMEOUT },
        { 0 },
};

static const struct option options_of_ping[] = {
        COMMON_OPTIONS,
        { "wait", required_argument, NULL, OPT_WAIT },
        { "ready", no_argument, NULL, OPT_READY },
        { 0 },
};

static const struct option options_of_stats[] = {
        COMMON_OPTIONS,
        { "prometheus", no_argument, NULL, OPT_PROMETHEUS },
        { 0 },
};

static int64_t now_ms(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int parse_timeout(const char *text, int *ret_ms) {
        double seconds;
        int r = cli_parse_seconds(text, &seconds);

        if (r >= 0)
                *ret_ms = seconds < INT_MAX / 1000 ? (int)cli_milliseconds(seconds) : INT_MAX;
        return r;
}

/* 0: ask; 1: the help was shown; negative: misuse, with a complaint. */
static int parse(int argc, char **argv, const struct option *known, struct question *question) {
        int c, r = 0;

        opterr = 0;
        while (r >= 0 && (c = getopt_long(argc, argv, "+:h", known, NULL)) != -1)
                switch (c) {
                case OPT_SOCKET:
                        r = cli_parse_socket(optarg, &question->path);
                        break;
                case OPT_SERVER_UID:
                        r = cli_parse_uid("--server-uid", optarg, &question->server_uid);
                        break;
                case OPT_TIMEOUT:
                        r = parse_timeout(optarg, &question->timeout_ms);
                        break;
                case OPT_WAIT:
                        r = cli_parse_seconds(optarg, &question->wait);
                        question->deadline = now_ms() + (int64_t)cli_milliseconds(question->wait);
                        break;
                case OPT_PROMETHEUS:
                        question->prometheus = true;
                        break;
                case OPT_READY:
                        question->ready = true;
                        break;
                case OPT_JSON:
                        question->json = true;
                        break;
                case 'h':
                        fputs(question->help, stdout);
                        return 1;
                default:
                        cli_bad_option(question->command, c, argv);
                        return -EINVAL;
                }
        if (r >= 0 && optind < argc) {
                cli_usage_error(question->command, "'%s' is one operand too many", argv[optind]);
                return -EINVAL;
        }
        if (r >= 0 && !question->path) {
                cli_usage_error(question->command, "--socket PATH is missing");
                return -EINVAL;
        }
        return r;
}

typedef int ask_function(struct fsrv_server *server, const struct question *question, struct fsrv_error *error);

static int ask(int argc, char **argv, const struct option *known, struct question *question, ask_function *function) {
        struct fsrv_server *server;
        struct fsrv_error error = { 0 };
        int r = parse(argc, argv, known, question);

        if (r != 0)
                return r == 1 ? 0 : CLI_EXIT_OURS;
        r = cli_connect(question->path, question->server_uid, question->wait, &server, &error);
        if (r >= 0) {
                r = function(server, question, &error);
                fsrv_server_free(server);
        }
        if (r < 0)
                cli_complain_error(&error);
        return r < 0 ? CLI_EXIT_OURS : 0;
}

static int ask_stop(struct fsrv_server *server, const struct question *question, struct fsrv_error *error) {
        int r = fsrv_server_stop(server, question->timeout_ms, error);

        if (r >= 0 && question->json)
                puts("{\"stopped\": true}");
        return r;
}

static int ask_reload(struct fsrv_server *server, const struct question *question, struct fsrv_error *error) {
        int r = fsrv_server_reload(server, question->timeout_ms, error);

        if (r >= 0 && question->json)
                puts("{\"reloaded\": true}");
        return r;
}

/* What a ping finds wrong. */
static int refuse_stats(const struct fsrv_stats *stats, bool ready, struct fsrv_error *error) {
        const char *why = stats->failure;

        if (!why[0] && ready && !stats->is_ready)
                why = "the server is loading its modules";
        if (!why[0])
                return 0;
        error->stage = FSRV_STAGE_PRELOAD;
        error->err = EAGAIN;
        snprintf(error->text, sizeof error->text, "%s", why);
        return -EAGAIN;
}

static int clamp(int64_t ms) {
        if (ms < 1)
                return 1;
        return ms < INT_MAX ? (int)ms : INT_MAX;
}

static int ask_ping(struct fsrv_server *server, const struct question *question, struct fsrv_error *error) {
        struct fsrv_stats stats = { .size = sizeof stats };
        int64_t left = question->deadline - now_ms();
        int r = 0;

        if (question->wait > 0)
                r = fsrv_server_wait_ready(server, clamp(left), error);
        if (r >= 0)
                r = fsrv_server_get_stats(server, &stats, error);
        if (r >= 0)
                r = refuse_stats(&stats, question->ready, error);
        if (r < 0)
                return r;
        if (question->json)
                printf("{\"server_pid\": %d, \"uptime_ms\": %" PRIu64 "}\n", (int)stats.server_pid, stats.uptime_ms);
        else
                printf("pid %d, up %.1f s\n", (int)stats.server_pid, (double)stats.uptime_ms / 1000);
        return 0;
}

static void print_counter(bool json, const char *name, uint64_t value) {
        if (json)
                printf("\"%s\": %" PRIu64 ", ", name, value);
        else
                printf("%s %" PRIu64 "\n", name, value);
}

static const char *name_of_stage(uint32_t i) {
        return fsrv_stage_name(i);
}

static const char *name_of_signal(uint32_t i) {
        static char text[32];

        return cli_signal_name((int)i, text);
}

/* Prints the values of a list that aren't 0. */
static void print_list(bool json, const char *list, const uint64_t *values, uint32_t n,
                       const char *(*name)(uint32_t i)) {
        const char *separator = "";

        if (json)
                printf("\"%s\": {", list);
        for (uint32_t i = 0; i < n; i++) {
                if (values[i] == 0)
                        continue;
                if (json)
                        printf("%s\"%s\": %" PRIu64, separator, name(i), values[i]);
                else
                        printf("%s.%s %" PRIu64 "\n", list, name(i), values[i]);
                separator = ", ";
        }
        if (json)
                printf("}");
}

static void print_text(bool json, const char *name, const char *text) {
        if (json) {
                printf("\"%s\": ", name);
                cli_json_string(stdout, text);
                printf(", ");
        } else if (text[0]) {
                printf("%s ", name);
                cli_put_harmless(stdout, text);
                putchar('\n');
        }
}

static int print_metrics(struct fsrv_server *server, struct fsrv_error *error) {
        char *text;
        int r = fsrv_server_get_metrics(server, &text, error);

        if (r < 0)
                return r;
        fputs(text, stdout);
        free(text);
        return 0;
}

static int ask_stats(struct fsrv_server *server, const struct question *question, struct fsrv_error *error) {
        struct fsrv_stats stats = { .size = sizeof stats };
        bool json = question->json;
        int r = question->prometheus ? print_metrics(server, error) : fsrv_server_get_stats(server, &stats, error);

        if (question->prometheus)
                return r;

        if (r < 0)
                return r;
        if (json)
                printf("{");
        print_counter(json, "server_pid", (uint64_t)stats.server_pid);
        if (stats.zygote_pid > 0) /* as kill(1) takes 0 for a process group */
                print_counter(json, "zygote_pid", (uint64_t)stats.zygote_pid);
        else if (json)
                printf("\"zygote_pid\": null, ");
        print_counter(json, "uptime_ms", stats.uptime_ms);
        print_counter(json, "is_ready", stats.is_ready);
        print_text(json, "failure", stats.failure);
        print_text(json, "replaced", stats.replaced);
        print_counter(json, "reloads", stats.reloads);
        print_counter(json, "failed_reloads", stats.failed_reloads);
        print_counter(json, "spawns", stats.spawns);
        print_counter(json, "claims", stats.claims);
        print_counter(json, "exits", stats.exits);
        print_counter(json, "zygote_starts", stats.zygote_starts);
        print_counter(json, "zygote_restarts", stats.zygote_restarts);
        print_counter(json, "malformed", stats.malformed);
        print_counter(json, "workers", stats.workers);
        print_counter(json, "standbys", stats.standbys);
        print_counter(json, "memory_frozen", stats.memory_frozen);
        print_counter(json, "memory_collapsed", stats.memory_collapsed);
        print_counter(json, "memory_left", stats.memory_left);
        print_text(json, "memory_why", stats.memory_why);
        print_list(json, "failures", stats.failures, FSRV_STAGE_COUNT, name_of_stage);
        if (json)
                printf(", ");
        print_list(json, "signals", stats.signals, sizeof stats.signals / sizeof *stats.signals, name_of_signal);
        if (json)
                printf("}\n");
        return 0;
}

int cli_stop(int argc, char **argv) {
        struct question question = {
                .command = "stop",
                .help = help_stop,
                .server_uid = FSRV_UID_OWN,
                .timeout_ms = -1,
        };

        return ask(argc, argv, options_with_timeout, &question, ask_stop);
}

int cli_reload(int argc, char **argv) {
        struct question question = {
                .command = "reload",
                .help = help_reload,
                .server_uid = FSRV_UID_OWN,
                .timeout_ms = -1,
        };

        return ask(argc, argv, options_with_timeout, &question, ask_reload);
}

int cli_ping(int argc, char **argv) {
        struct question question = { .command = "ping", .help = help_ping, .server_uid = FSRV_UID_OWN };

        return ask(argc, argv, options_of_ping, &question, ask_ping);
}

int cli_stats(int argc, char **argv) {
        struct question question = { .command = "stats", .help = help_stats, .server_uid = FSRV_UID_OWN };

        return ask(argc, argv, options_of_stats, &question, ask_stats);
}
