/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
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
        "      --tag              put the item and a TAB before each line of output\n"
        "  -u, --ungroup          do not hold output back: it may mix\n"
        "      --dry-run          print the command lines, run nothing\n"
        "      --timeout S        kill a process after S seconds\n"
        "      --halt N           start nothing new after N failures\n"
        "      --json FILE        one JSON object a line for each item: item, pid, status (exit code or null), signal\n"
        "                         (number or null), start, end, rusage; error if it could not be started. Bytes that\n"
        "                         are not UTF-8 are written as \\udc80 to \\udcff\n"
        "      --progress         a summary at the end, also when standard error is no terminal\n"
        "      --quiet            neither progress nor summary on a terminal\n"
        "      --preload M        load module M once, before all (may be repeated)\n"
        "      --socket PATH      use the server that listens at PATH\n"
        "      --server-uid UID   whom that server must belong to (default: yourself or root)\n"
        "      --help             show this help\n"
        "\n"
        "The first ^C starts nothing new, the second kills.\n"
        "Exit code: 0; 123 if an item failed; 125 if forkserver itself did; 126 if PROGRAM cannot be run, 127 if it\n"
        "is not found; 128 + signal after ^C or SIGTERM.\n";

/* ---- options ---- */

enum { OPT_HELP = 256, OPT_TAG, OPT_DRY_RUN, OPT_TIMEOUT, OPT_HALT, OPT_JSON, OPT_PRELOAD, OPT_SOCKET, OPT_SERVER_UID,
       OPT_CALL, OPT_PROGRESS, OPT_QUIET };

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
        { "socket", required_argument, NULL, OPT_SOCKET },
        { "server-uid", required_argument, NULL, OPT_SERVER_UID },
        { "call", required_argument, NULL, OPT_CALL },
        { "help", no_argument, NULL, OPT_HELP },
        { NULL, 0, NULL, 0 },
};

static int take_option(struct map_options *options, int c, char **argv) {
        struct cli_target *target = &options->target;

        switch (c) {
        case 'j': return cli_parse_number("--jobs", optarg, 1, 10000, &options->jobs);
        case OPT_HALT: return cli_parse_number("--halt", optarg, 1, 1000000000, &options->halt);
        case OPT_TIMEOUT: return cli_parse_seconds(optarg, &target->timeout);
        case OPT_SERVER_UID: return cli_parse_uid("--server-uid", optarg, &target->server_uid);
        case OPT_PRELOAD: return cli_target_add_preload(target, optarg);
        case '0': options->separator = 0; return 0;
        case 'a': options->file = optarg; return 0;
        case 'k': options->ordered = true; return 0;
        case 'u': options->ungroup = true; return 0;
        case OPT_TAG: options->tag = true; return 0;
        case OPT_DRY_RUN: options->dry_run = true; return 0;
        case OPT_JSON: options->json = optarg; return 0;
        case OPT_PROGRESS: options->progress = true; return 0;
        case OPT_QUIET: options->quiet = true; return 0;
        case OPT_SOCKET: target->socket_path = optarg; return 0;
        case OPT_CALL: target->entry = optarg; return 0;
        default: cli_bad_option("map", c, argv); return -EINVAL;
        }
}

/* 0: go on; 1: help was asked for; -EINVAL with a complaint. */
static int parse(struct map_options *options, int argc, char **argv) {
        cpu_set_t cpus;
        int c, r = 0;

        options->separator = '\n';
        options->jobs = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (unsigned long)CPU_COUNT(&cpus) : 1;
        while (r == 0 && (c = getopt_long(argc, argv, "+:j:0a:ku", long_options, NULL)) != -1) {
                if (c == OPT_HELP)
                        return 1;
                r = take_option(options, c, argv);
        }
        if (r < 0)
                return r;
        options->args = argv + optind;
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

/* ---- the run ---- */

enum { SIGNALS_ID = UINT32_MAX, INPUT_ID = UINT32_MAX - 1 };

struct map {
        struct map_options *options;
        struct fsrv_server *server;
        struct map_input input;
        struct map_report report;
        struct map_job *jobs;
        struct map_result *waiting; /* ordered: ended before their turn, by index */
        unsigned long next_index, next_shown, running;
        int epoll, signals;
        bool input_polled; /* a pipe, socket or terminal; a regular file is always ready */
        bool input_ready, input_ended, stopping;
        int caught;    /* a signal that ends us */
        int exit_code; /* of our own failure; 0: none */
};

static void stop_with(struct map *m, int code) {
        m->stopping = true;
        if (!m->exit_code)
                m->exit_code = code;
}

static void show(struct map *m, struct map_result *result) {
        struct map_result **at = &m->waiting;

        if (m->options->ordered && result->index != m->next_shown) {
                while (*at && (*at)->index < result->index)
                        at = &(*at)->next;
                result->next = *at;
                *at = result;
                return;
        }
        do {
                if (m->waiting == result)
                        m->waiting = result->next;
                map_report_result(&m->report, result);
                m->next_shown++;
                result = m->waiting;
        } while (m->options->ordered && result && result->index == m->next_shown);
        if (m->report.broken)
                stop_with(m, CLI_EXIT_OURS);
        if (m->options->halt && m->report.failed >= m->options->halt)
                m->stopping = true;
}

static void show_unstarted(struct map *m, char *item, const struct fsrv_error *error) {
        struct map_result *result = calloc(1, sizeof *result);

        if (!result) {
                free(item);
                stop_with(m, CLI_EXIT_OURS);
                return;
        }
        result->index = m->next_index++;
        result->item = item;
        result->files[0] = result->files[1] = -1;
        result->started = result->ended = map_clock();
        result->error = *error;
        show(m, result);
}

/* An item that is too much for now waits for one that runs; one that is too long is its own fault; all else is nobody's
 * item's. */
static void on_spawn_error(struct map *m, char *item, const struct fsrv_error *error) {
        if (error->err == EAGAIN && (error->stage == FSRV_STAGE_FORK || error->stage == FSRV_STAGE_LIMIT) && m->running) {
                map_input_give_back(&m->input, item);
                m->input_ready = false; /* not before one has ended */
                return;
        }
        if (error->err == E2BIG || error->err == EAGAIN) {
                show_unstarted(m, item, error);
                return;
        }
        cli_complain_error(error);
        free(item);
        stop_with(m, cli_exit_code_of_error(error));
}

static void start(struct map *m, char *item) {
        struct map_job *job = m->jobs;
        struct fsrv_error error;

        while (job->running)
                job++;
        if (map_job_start(job, m->server, m->options, item, &error) < 0) {
                on_spawn_error(m, item, &error);
                return;
        }
        job->index = m->next_index++;
        m->running++;
        struct epoll_event event = { .events = EPOLLIN, .data.u32 = (uint32_t)(job - m->jobs) };
        int fd = fsrv_process_get_poll_fd(job->process);
        if (fd < 0 || epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
                cli_complain("map: cannot watch a process: %s", strerror(fd < 0 ? -fd : errno));
                stop_with(m, CLI_EXIT_OURS);
        }
}

static bool has_room(const struct map *m) {
        unsigned long ahead = m->next_index - m->next_shown;

        return !m->stopping && m->running < m->options->jobs &&
               (!m->options->ordered || ahead < 8 * m->options->jobs + 64);
}

static void start_some(struct map *m) {
        m->input_ready |= !m->input_polled;
        while (has_room(m)) {
                char *item;
                int r = map_input_take(&m->input, &item);
                if (r == 1) {
                        start(m, item);
                        if (m->input.next)
                                return;
                } else if (r == 0) {
                        if (!m->input_ready)
                                return;
                        if (map_input_fill(&m->input) < 0)
                                stop_with(m, CLI_EXIT_OURS);
                        m->input_ready = !m->input_polled;
                } else {
                        m->input_ended = true;
                        if (r != -ENODATA)
                                stop_with(m, CLI_EXIT_OURS);
                        return;
                }
        }
}

static void on_job(struct map *m, struct map_job *job) {
        struct map_result *result;

        if (!job->running)
                return;
        int r = map_job_finish(job, &result);
        if (r == 0)
                return;
        m->running--; /* closing the process has taken it out of the epoll */
        if (r < 0)
                stop_with(m, CLI_EXIT_OURS);
        else
                show(m, result);
}

static void on_signals(struct map *m) {
        struct signalfd_siginfo info;

        while (read(m->signals, &info, sizeof info) == sizeof info) {
                if (m->caught)
                        for (unsigned long i = 0; i < m->options->jobs; i++)
                                if (m->jobs[i].running)
                                        fsrv_process_kill(m->jobs[i].process, SIGKILL);
                m->caught = (int)info.ssi_signo;
                m->stopping = true;
        }
}

/* Watched only while we could use an item: whoever feeds us is held back. */
static void watch_input(struct map *m, bool wanted) {
        struct epoll_event event = { .events = wanted ? EPOLLIN : 0, .data.u32 = INPUT_ID };

        if (m->input_polled)
                epoll_ctl(m->epoll, EPOLL_CTL_MOD, m->input.fd, &event);
}

static void run(struct map *m) {
        for (;;) {
                start_some(m);
                bool wants = has_room(m) && !m->input_ended && !m->input.next;
                if (m->running == 0 && (m->stopping || m->input_ended))
                        return;
                watch_input(m, wants);
                map_report_progress(&m->report);

                struct epoll_event events[64];
                int n = epoll_wait(m->epoll, events, 64, m->report.on_terminal ? 200 : -1);
                for (int i = 0; i < n; i++)
                        if (events[i].data.u32 == SIGNALS_ID)
                                on_signals(m);
                        else if (events[i].data.u32 == INPUT_ID)
                                m->input_ready = wants;
                        else
                                on_job(m, &m->jobs[events[i].data.u32]);
        }
}

/* ---- setting up ---- */

static int take_signals(struct map *m, struct map_signals *found) {
        static const int wanted[] = { SIGINT, SIGTERM, SIGHUP };
        struct sigaction action;
        sigset_t set;

        sigemptyset(&found->ignored);
        for (int s = 1; s <= SIGRTMAX; s++)
                if (sigaction(s, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
                        sigaddset(&found->ignored, s);
        sigemptyset(&set);
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
                if (sigismember(&found->ignored, wanted[i]) == 0)
                        sigaddset(&set, wanted[i]);
        sigprocmask(SIG_BLOCK, &set, &found->mask);
        m->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        m->epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN, .data.u32 = SIGNALS_ID };
        if (m->signals < 0 || m->epoll < 0 || epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->signals, &event) < 0) {
                cli_complain("map: %s", strerror(errno));
                return -errno;
        }
        event = (struct epoll_event){ .events = 0, .data.u32 = INPUT_ID };
        m->input_polled = epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->input.fd, &event) == 0; /* EPERM: a regular file */
        return 0;
}

static void print_word(const char *word) {
        if (word[0] && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@%+")]) {
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

static int dry_run(const struct map_options *options, struct map_input *input) {
        for (;;) {
                char *item;
                int r = map_input_take(input, &item);
                if (r == 0)
                        r = map_input_fill(input);
                else if (r == 1) {
                        char **list = map_arguments(options, item);
                        for (char **word = list; list && *word; word++) {
                                if (word != list)
                                        putchar(' ');
                                print_word(*word);
                        }
                        putchar('\n');
                        r = list ? 0 : -ENOMEM;
                        free(list);
                        free(item);
                }
                if (r < 0)
                        return r == -ENODATA ? 0 : CLI_EXIT_OURS;
        }
}

static int run_all(struct map *m) {
        struct map_options *options = m->options;
        struct map_signals found;

        if (take_signals(m, &found) < 0 || map_report_init(&m->report, options) < 0)
                return CLI_EXIT_OURS;
        if (m->report.on_terminal)
                m->report.total = map_input_count(&m->input);
        m->jobs = calloc(options->jobs, sizeof *m->jobs);
        if (!m->jobs || cli_target_open(&options->target, &m->server) < 0)
                return CLI_EXIT_OURS;
        for (unsigned long i = 0; i < options->jobs; i++)
                if (map_job_init(&m->jobs[i], options, &found) < 0)
                        return CLI_EXIT_OURS;
        run(m);
        while (m->waiting) { /* after a stop: what had to wait for one that never came */
                struct map_result *result = m->waiting;
                m->waiting = result->next;
                map_report_result(&m->report, result);
        }
        if (map_report_done(&m->report) < 0)
                stop_with(m, CLI_EXIT_OURS);
        if (m->exit_code)
                return m->exit_code;
        if (m->caught)
                return 128 + m->caught;
        return m->report.failed ? CLI_EXIT_ITEMS_FAILED : 0;
}

int cli_map(int argc, char **argv) {
        struct map_options options = { .target = CLI_TARGET_INIT };
        struct map m = { .options = &options, .epoll = -1, .signals = -1 };
        int code = CLI_EXIT_OURS, r = parse(&options, argc, argv);

        if (r == 1)
                code = fputs(help, stdout) < 0 ? CLI_EXIT_OURS : 0;
        else if (r == 0 && map_input_open(&m.input, options.file, options.separator) == 0) {
                code = options.dry_run ? dry_run(&options, &m.input) : run_all(&m);
                for (unsigned long i = 0; m.jobs && i < options.jobs; i++)
                        if (m.jobs[i].request)
                                map_job_done(&m.jobs[i]);
                free(m.jobs);
                fsrv_server_free(m.server);
                map_input_done(&m.input);
                if (m.epoll >= 0)
                        close(m.epoll);
                if (m.signals >= 0)
                        close(m.signals);
        }
        cli_target_done(&options.target);
        return code;
}
