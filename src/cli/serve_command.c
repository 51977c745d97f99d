/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cli.h"
#include "listening.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static const char help[] =
        "Usage: forkserver serve --socket PATH [OPTION]...\n"
        "Serve in the foreground, for 'forkserver run --socket PATH' and other users of\n"
        "the library. The log goes to standard error. systemd is told when the modules are\n"
        "loaded, and may hand the socket over: then --socket can be left out.\n"
        "\n"
        "      --socket PATH              where to listen; at most 107 bytes, in a directory\n"
        "                                 that only you can write to\n"
        "      --mode OCTAL               the socket's mode (default: 600)\n"
        "      --allow-uid USER           let this user, a name or a number, spawn too;\n"
        "                                 repeatable. From a root server each user's processes\n"
        "                                 run as that user; from any other they run as you.\n"
        "                                 The mode has to let the user in as well\n"
        "      --entries-only             run functions of preloaded modules alone: no\n"
        "                                 programs, and no other modules\n"
        "      --as-server                run everything as root, if you are root: only for\n"
        "                                 users that may do all that root may\n"
        "      --sandbox PROFILE[,WORD]...  lock all processes in: untrusted, pure-compute,\n"
        "                                 no-network, no-exec, none; WORDs add to that\n"
        "                                 ('forkserver check --help' has them)\n"
        "      --preload MODULE           load MODULE first; repeatable\n"
        "      --preload-timeout TIME     limit for loading all modules, and for their fork\n"
        "                                 handlers in each new process (default: 60).\n"
        "                                 A TIME is in seconds, or as in 500ms, 2m, 1h, 1d\n"
        "      --threads POLICY           what to do when modules leave threads running, which\n"
        "                                 no child has: warn (default), fail, ignore\n"
        "      --memory MODE              what is done to the loaded memory, so that a process\n"
        "                                 costs the same however much it is: auto (default),\n"
        "                                 freeze, collapse, off\n"
        "      --standbys N               processes kept ready, 1 to 64 (default: 4)\n"
        "      --fail-fast                end with 125 if the modules cannot be loaded at first\n"
        "      --auto-reload              reload when a loaded file has been replaced on disk;\n"
        "                                 without this the log and 'forkserver stats' say so\n"
        "      --takeover                 take the socket over from the server that has it,\n"
        "                                 when the modules are loaded. That one ends after its\n"
        "                                 last process, and no client notices\n"
        "      --ready-fd N               write a newline to the open file descriptor N, and\n"
        "                                 close it, when the modules are loaded (s6, runit)\n"
        "      --metrics PATH|PORT        answer HTTP requests at this socket, or at this port\n"
        "                                 of the loopback device, with counters in\n"
        "                                 OpenMetrics' format\n"
        "      --log-format FORMAT        lines (default), or json: an object on each line\n"
        "  -h, --help                     show this help\n"
        "\n"
        "If a module cannot be loaded, the server stays, and refuses each request with\n"
        "the reason. A request that comes 0.1 to 5 s later makes it try again.\n"
        "\n"
        "On SIGHUP the server reloads, as 'forkserver reload' has it do; if its terminal\n"
        "has been closed, it drains.\n"
        "On SIGTERM or SIGINT the server drains: it takes no new requests and ends when\n"
        "its last process has ended. A second signal kills the processes.\n"
        "Exit code: 0 after such an end; 125 if it cannot serve.\n";

enum { MAX_UIDS = 64, MAX_STANDBYS = 64 };

struct serve {
        struct cli_target target; /* for its preload list */
        uid_t uids[MAX_UIDS];
        const char *metrics; /* PATH|PORT; NULL */
        struct fsrv_listen_options listen;
        struct fsrv_server_options server;
};

enum {
        OPT_SOCKET = 256,
        OPT_MODE,
        OPT_ALLOW_UID,
        OPT_PRELOAD,
        OPT_PRELOAD_TIMEOUT,
        OPT_THREADS,
        OPT_MEMORY,
        OPT_STANDBYS,
        OPT_ENTRIES_ONLY,
        OPT_AS_SERVER,
        OPT_SANDBOX,
        OPT_FAIL_FAST,
        OPT_AUTO_RELOAD,
        OPT_TAKEOVER,
        OPT_READY_FD,
        OPT_METRICS,
        OPT_LOG_FORMAT
};

static const struct option options[] = {
        { "socket", required_argument, NULL, OPT_SOCKET },
        { "mode", required_argument, NULL, OPT_MODE },
        { "allow-uid", required_argument, NULL, OPT_ALLOW_UID },
        { "preload", required_argument, NULL, OPT_PRELOAD },
        { "preload-timeout", required_argument, NULL, OPT_PRELOAD_TIMEOUT },
        { "threads", required_argument, NULL, OPT_THREADS },
        { "memory", required_argument, NULL, OPT_MEMORY },
        { "standbys", required_argument, NULL, OPT_STANDBYS },
        { "entries-only", no_argument, NULL, OPT_ENTRIES_ONLY },
        { "as-server", no_argument, NULL, OPT_AS_SERVER },
        { "sandbox", required_argument, NULL, OPT_SANDBOX },
        { "fail-fast", no_argument, NULL, OPT_FAIL_FAST },
        { "auto-reload", no_argument, NULL, OPT_AUTO_RELOAD },
        { "takeover", no_argument, NULL, OPT_TAKEOVER },
        { "ready-fd", required_argument, NULL, OPT_READY_FD },
        { "metrics", required_argument, NULL, OPT_METRICS },
        { "log-format", required_argument, NULL, OPT_LOG_FORMAT },
        { "help", no_argument, NULL, 'h' },
        { 0 },
};

static int parse_mode(const char *text, mode_t *ret_mode) {
        char *end;
        unsigned long mode = strtoul(text, &end, 8);

        if (*text < '0' || *text > '7' || *end || mode == 0 || mode > 0777) {
                cli_complain("--mode: '%s' is not an octal mode from 1 to 777", text);
                return -EINVAL;
        }
        *ret_mode = (mode_t)mode;
        return 0;
}

static int add_uid(struct serve *serve, const char *text) {
        if (serve->listen.n_allow_uids == MAX_UIDS) {
                cli_complain("--allow-uid: more than %d users", MAX_UIDS);
                return -E2BIG;
        }
        return cli_parse_uid("--allow-uid", text, &serve->uids[serve->listen.n_allow_uids++]);
}

static int parse_policy(const char *text, uint32_t *ret_policy) {
        static const char *const words[] = {
                [FSRV_PRELOAD_WARN] = "warn", [FSRV_PRELOAD_FAIL] = "fail", [FSRV_PRELOAD_IGNORE] = "ignore", NULL
        };

        return cli_parse_word("--threads", text, words, ret_policy);
}

static int parse_standbys(const char *text, uint32_t *ret_standbys) {
        unsigned long number;
        int r = cli_parse_number("--standbys", text, 1, MAX_STANDBYS, &number);

        if (r >= 0)
                *ret_standbys = (uint32_t)number;
        return r;
}

static int parse_ready_fd(const char *text, struct fsrv_listen_options *listen) {
        unsigned long number;
        int r = cli_parse_number("--ready-fd", text, 0, INT_MAX, &number);

        if (r < 0)
                return r;
        if (fcntl((int)number, F_GETFD) < 0) {
                cli_complain("--ready-fd: %lu is not an open file descriptor", number);
                return -EBADF;
        }
        listen->ready_fd = (int)number;
        listen->flags |= FSRV_LISTEN_READY_FD;
        return 0;
}

static int parse_log_format(const char *text, uint32_t *flags) {
        static const char *const words[] = { "lines", "json", NULL };
        uint32_t word;
        int r = cli_parse_word("--log-format", text, words, &word);

        if (r >= 0 && word == 1)
                *flags |= FSRV_LISTEN_JSON_LOG;
        return r;
}

/* What is for a supervisor. 1: it is none of these. */
static int take_service_option(int c, struct serve *serve) {
        switch (c) {
        case OPT_FAIL_FAST:
                serve->listen.flags |= FSRV_LISTEN_FAIL_FAST;
                return 0;
        case OPT_AUTO_RELOAD:
                serve->listen.flags |= FSRV_LISTEN_AUTO_RELOAD;
                return 0;
        case OPT_TAKEOVER:
                serve->listen.flags |= FSRV_LISTEN_TAKEOVER;
                return 0;
        case OPT_READY_FD:
                return parse_ready_fd(optarg, &serve->listen);
        case OPT_METRICS:
                serve->metrics = optarg;
                return 0;
        case OPT_LOG_FORMAT:
                return parse_log_format(optarg, &serve->listen.flags);
        default:
                return 1;
        }
}

/* 0: serve; 1: the help was shown; negative: misuse, with a complaint. */
static int parse(int argc, char **argv, struct serve *serve) {
        int c, r = 0;

        opterr = 0;
        while (r >= 0 && (c = getopt_long(argc, argv, "+:h", options, NULL)) != -1)
                switch (c) {
                case OPT_SOCKET:
                        r = cli_parse_socket(optarg, &serve->listen.path);
                        break;
                case OPT_MODE:
                        r = parse_mode(optarg, &serve->listen.mode);
                        break;
                case OPT_ALLOW_UID:
                        r = add_uid(serve, optarg);
                        break;
                case OPT_PRELOAD:
                        r = cli_target_add_preload(&serve->target, optarg);
                        break;
                case OPT_PRELOAD_TIMEOUT:
                        r = cli_parse_preload_timeout(optarg, &serve->server.preload_timeout_ms);
                        break;
                case OPT_THREADS:
                        r = parse_policy(optarg, &serve->server.thread_policy);
                        break;
                case OPT_MEMORY:
                        r = cli_parse_memory(optarg, &serve->server.memory);
                        break;
                case OPT_STANDBYS:
                        r = parse_standbys(optarg, &serve->server.standbys);
                        break;
                case OPT_ENTRIES_ONLY:
                        serve->listen.flags |= FSRV_LISTEN_ENTRIES_ONLY;
                        break;
                case OPT_AS_SERVER:
                        serve->listen.flags |= FSRV_LISTEN_AS_SERVER;
                        break;
                case OPT_SANDBOX:
                        r = cli_sandbox_take(&serve->target.sandbox, optarg);
                        break;
                case 'h':
                        fputs(help, stdout);
                        return 1;
                default:
                        r = take_service_option(c, serve);
                        if (r == 1) {
                                cli_bad_option("serve", c, argv);
                                return -EINVAL;
                        }
                }
        return r;
}

/* Returns only if it failed. */
static void serve_now(struct serve *serve) {
        struct fsrv_error error = { 0 };
        int r = cli_activation_take(&serve->listen);

        if (r < 0 || cli_sandbox_make(&serve->target.sandbox) < 0)
                return;
        if (!serve->listen.path) {
                cli_usage_error("serve", "--socket PATH is missing");
                return;
        }
        if (serve->metrics) {
                serve->listen.metrics = cli_metrics_bind(serve->metrics, serve->listen.flags & FSRV_LISTEN_TAKEOVER);
                if (serve->listen.metrics < 0)
                        return;
                serve->listen.flags |= FSRV_LISTEN_METRICS;
        }
        serve->server.sandbox = serve->target.sandbox.sandbox;
        serve->listen.allow_uids = serve->uids;
        serve->server.preload = serve->target.preload;
        fsrv_serve(&serve->listen, &serve->server, &error);
        cli_complain_error(&error);
        if (serve->metrics)
                cli_metrics_drop(serve->listen.metrics);
}

int cli_serve(int argc, char **argv) {
        struct serve serve = {
                .target = CLI_TARGET_INIT,
                .listen.size = sizeof serve.listen,
                .server.size = sizeof serve.server,
                .server.preload_policy = FSRV_PRELOAD_FAIL,
        };
        int r = parse(argc, argv, &serve);

        if (r == 0 && optind < argc)
                cli_usage_error("serve", "'%s' is one operand too many", argv[optind]);
        else if (r == 0)
                serve_now(&serve);
        cli_target_done(&serve.target);
        return r == 1 ? 0 : CLI_EXIT_OURS;
}
