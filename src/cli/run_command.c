/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
        "Usage: forkserver run [OPTION]... [--] PROGRAM [ARG]...\n"
        "       forkserver run [OPTION]... --call MODULE:FUNCTION [ARG]...\n"
        "Run PROGRAM, or FUNCTION (which is like main) of the shared object MODULE, in a\n"
        "new process of a fork server. Options end at the first operand or at '--'.\n"
        "\n"
        "      --call MODULE:FUNCTION  run this instead of a program\n"
        "      --preload MODULE        load MODULE into the server first; repeatable\n"
        "      --preload-timeout TIME  limit for loading all of them (default: 60)\n"
        "      --memory MODE           what is done to the loaded memory, so that a process\n"
        "                              costs the same however much it is: auto (default),\n"
        "                              freeze, collapse, off\n"
        "      --socket PATH           use the server that listens at PATH instead of a\n"
        "                              private one\n"
        "      --server-uid USER       the user that has to run that server, a name or a\n"
        "                              number (default: you yourself, or root)\n"
        "      --timeout TIME          end the process after this time (0: never), with all\n"
        "                              in its process group, which is a new one then. A TIME\n"
        "                              is in seconds, or as in 500ms, 2m, 1h, 1d\n"
        "      --kill-after TIME       at the time-out send SIGTERM, and SIGKILL only after\n"
        "                              this time more (default: SIGKILL at once)\n"
        "      --quick-exit            with --call: don't run exit functions and destructors\n"
        "                              of preloaded modules\n"
        "  -h, --help                  show this help\n"
        "\n"
        "The process has forkserver's standard streams and other inherited file\n"
        "descriptors, environment, working directory, umask and terminal. It gets the\n"
        "signals that are sent to forkserver. When forkserver is killed, the process is\n"
        "killed with all that it has started. When the process stops, forkserver stops.\n"
        "When a signal ends the process, forkserver ends by the same signal.\n"
        "\n"
        "Exit code: the process's own; 128+N (as a shell sees it) if signal N ended it,\n"
        "as at a time-out, or 124 if it ended by itself after the time-out's SIGTERM; 127\n"
        "if PROGRAM is not found, 126 if it cannot be run; 125 if forkserver itself\n"
        "fails, as for a module that cannot be loaded.\n";

enum {
        SIGNALS_WAIT_MS = 250, /* a worker that runs has been heard of by then, however busy the machine */
};

/* Once the worker has its fds we hold on to none of them: the reader of a pipe must see its end when the worker closes
 * it. Standard error stays, for what we may have to say. */
static void close_passed_fds(const struct cli_inherited *inherited) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null >= 0) {
                dup2(null, STDIN_FILENO);
                dup2(null, STDOUT_FILENO);
                close(null);
        }
        for (size_t i = 0; i < inherited->n; i++)
                close(inherited->fds[i]);
}

static int fill_request(struct fsrv_request *request, const struct cli_target *target,
                        const struct cli_inherited *inherited, char **operands) {
        int r;

        if (target->entry) {
                /* operands is a tail of argv: the word before it, an option that was read already, makes room */
                operands--;
                operands[0] = (char *)target->entry;
                r = fsrv_request_set_entry(request, target->entry);
        } else
                r = fsrv_request_set_program(request, operands[0]);
        if (r >= 0)
                r = fsrv_request_set_argv(request, (const char *const *)operands);
        if (r >= 0)
                r = fsrv_request_set_flags(request, FSRV_SPAWN_KILL_ON_CLOSE | FSRV_SPAWN_TELL_STOPS |
                                                            (target->quick_exit ? FSRV_SPAWN_QUICK_EXIT : 0));
        if (r >= 0)
                r = fsrv_request_set_time_limit(request, cli_milliseconds(target->timeout),
                                                cli_milliseconds(target->kill_after));
        if (r >= 0 && target->timeout) /* all that it starts is to end with it, as under timeout(1) */
                r = fsrv_request_set_process_group(request, 0);
        if (r >= 0)
                r = cli_inherited_pass_on(inherited, request);
        if (r < 0)
                cli_complain("cannot describe what to run: %s", strerror(-r));
        return r;
}

/* As a shell does: it is silent where the user, or the end of a reader, has ended the program. */
static void complain_of_death(const struct fsrv_status *status, const struct cli_target *target, const char *name) {
        char signal[32];

        if (status->flags & FSRV_STATUS_TIMED_OUT)
                cli_complain("%s was ended: it ran longer than %g s", name, target->timeout);
        else if (status->signal && status->signal != SIGINT && status->signal != SIGPIPE)
                cli_complain("%s was killed by %s%s", name, cli_signal_name(status->signal, signal),
                             status->flags & FSRV_STATUS_CORE_DUMPED ? " (core dumped)" : "");
}

/*
 * A signal that comes while the modules are being loaded has to end us, and the attempt with us; one that comes when
 * the worker runs is the worker's, even if we don't know yet that it does. So signals wait for the spawn, but not for
 * long.
 */
struct patience {
        const struct cli_signals *signals;
        struct timespec since; /* when we first saw one; 0: none */
};

static int look_at_signals(void *data) {
        struct patience *patience = data;
        struct pollfd entry = { .fd = patience->signals->fd, .events = POLLIN };
        struct timespec now;

        if (poll(&entry, 1, 0) <= 0)
                return 0;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (patience->since.tv_sec == 0)
                patience->since = now;
        long waited_ms =
                (now.tv_sec - patience->since.tv_sec) * 1000 + (now.tv_nsec - patience->since.tv_nsec) / 1000000;
        if (waited_ms >= SIGNALS_WAIT_MS) {
                cli_signals_let_through(patience->signals);
                patience->since.tv_sec = 0;
        }
        return 0;
}

static int spawn_interruptibly(struct fsrv_server *server, struct fsrv_request *request,
                               const struct cli_signals *signals, struct fsrv_process **ret_process,
                               struct fsrv_error *error) {
        struct patience patience = { .signals = signals };

        fsrv_request_set_signal_mask(request, &signals->before);
        fsrv_server_set_interrupt(server, look_at_signals, &patience);
        int r = fsrv_spawn(server, request, ret_process, error);
        fsrv_server_set_interrupt(server, NULL, NULL);
        return r;
}

static int wait_for_end(struct fsrv_process *process, pid_t number, const struct cli_signals *signals,
                        bool shares_group, struct fsrv_status *ret_status) {
        struct fsrv_error error = { 0 };
        int r = cli_wait_as_worker(process, number, signals, shares_group, ret_status, &error);

        if (r < 0)
                cli_complain_error(&error);
        return r;
}

/* A private server's worker is in our group, unless it has a time limit; it may leave it at once, and then that is its
 * own doing. */
static bool shares_group(const struct cli_target *target, pid_t pid) {
        return !target->socket_path ? !target->timeout : pid > 0 && getpgid(pid) == getpgrp();
}

/* The exit code. */
static int spawn_and_wait(struct fsrv_server *server, struct fsrv_request *request,
                          const struct cli_inherited *inherited, const struct cli_target *target,
                          struct fsrv_status *ret_status) {
        struct fsrv_error error = { 0 };
        struct fsrv_process *process = NULL;
        struct cli_signals signals;
        int r = cli_signals_block(&signals, &error);

        if (r >= 0)
                r = spawn_interruptibly(server, request, &signals, &process, &error);
        if (r < 0) {
                cli_complain_error(&error);
                return cli_exit_code_of_error(&error);
        }
        close_passed_fds(inherited);
        pid_t number = cli_own_number(process, target);
        r = wait_for_end(process, number, &signals, shares_group(target, number), ret_status);
        fsrv_process_unref(process);
        if (r == 0 && ret_status->flags & FSRV_STATUS_TIMED_OUT && !ret_status->signal)
                return CLI_EXIT_TIMED_OUT; /* whatever it made of SIGTERM: it may have been 0 */
        return r < 0 ? CLI_EXIT_OURS : ret_status->exit_code;
}

static int run_target(const struct cli_target *target, char **operands) {
        const char *name = target->entry ? target->entry : operands[0];
        struct fsrv_request *request = NULL;
        struct fsrv_server *server = NULL;
        struct cli_inherited inherited = { 0 };
        struct fsrv_status status = { .size = sizeof status };
        int code = CLI_EXIT_OURS;

        if (cli_inherited_collect(&inherited) < 0 || fsrv_request_new(&request) < 0)
                cli_complain("out of memory");
        else if (fill_request(request, target, &inherited, operands) >= 0 && cli_target_open(target, &server) >= 0)
                code = spawn_and_wait(server, request, &inherited, target, &status);
        fsrv_server_free(server);
        fsrv_request_free(request);
        cli_inherited_done(&inherited);
        complain_of_death(&status, target, name);
        return status.signal ? cli_die_by(status.signal) : code;
}

enum {
        OPT_CALL = 256,
        OPT_PRELOAD,
        OPT_PRELOAD_TIMEOUT,
        OPT_MEMORY,
        OPT_SOCKET,
        OPT_SERVER_UID,
        OPT_TIMEOUT,
        OPT_KILL_AFTER,
        OPT_QUICK_EXIT
};

static const struct option options[] = {
        { "call", required_argument, NULL, OPT_CALL },
        { "preload", required_argument, NULL, OPT_PRELOAD },
        { "preload-timeout", required_argument, NULL, OPT_PRELOAD_TIMEOUT },
        { "memory", required_argument, NULL, OPT_MEMORY },
        { "socket", required_argument, NULL, OPT_SOCKET },
        { "server-uid", required_argument, NULL, OPT_SERVER_UID },
        { "timeout", required_argument, NULL, OPT_TIMEOUT },
        { "kill-after", required_argument, NULL, OPT_KILL_AFTER },
        { "quick-exit", no_argument, NULL, OPT_QUICK_EXIT },
        { "help", no_argument, NULL, 'h' },
        { 0 },
};

/* 0: run it; 1: the help was shown; negative: misuse, with a complaint. */
static int parse(int argc, char **argv, struct cli_target *target) {
        int c, r = 0;

        opterr = 0;
        while (r >= 0 && (c = getopt_long(argc, argv, "+:h", options, NULL)) != -1)
                switch (c) {
                case OPT_CALL:
                        target->entry = optarg;
                        break;
                case OPT_PRELOAD:
                        r = cli_target_add_preload(target, optarg);
                        break;
                case OPT_PRELOAD_TIMEOUT:
                        r = cli_parse_preload_timeout(optarg, &target->preload_timeout_ms);
                        break;
                case OPT_MEMORY:
                        r = cli_parse_memory(optarg, &target->memory);
                        break;
                case OPT_SOCKET:
                        r = cli_parse_socket(optarg, &target->socket_path);
                        break;
                case OPT_SERVER_UID:
                        r = cli_parse_uid("--server-uid", optarg, &target->server_uid);
                        break;
                case OPT_TIMEOUT:
                        r = cli_parse_seconds(optarg, &target->timeout);
                        break;
                case OPT_KILL_AFTER:
                        r = cli_parse_seconds(optarg, &target->kill_after);
                        break;
                case OPT_QUICK_EXIT:
                        target->quick_exit = true;
                        break;
                case 'h':
                        fputs(help, stdout);
                        return 1;
                default:
                        cli_bad_option("run", c, argv);
                        return -EINVAL;
                }
        return r;
}

static bool is_entry(const char *text) {
        const char *colon = strrchr(text, ':');

        return colon && colon > text && colon[1];
}

int cli_run(int argc, char **argv) {
        struct cli_target target = CLI_TARGET_INIT;
        int r = parse(argc, argv, &target), code = CLI_EXIT_OURS;

        if (r == 1)
                code = 0;
        else if (r < 0)
                ;
        else if (target.entry && !is_entry(target.entry))
                cli_usage_error("run", "--call: '%s' is not MODULE:FUNCTION", target.entry);
        else if (target.quick_exit && !target.entry)
                cli_usage_error("run", "--quick-exit is for --call: a program has exit functions of its own alone");
        else if (target.kill_after && !target.timeout)
                cli_usage_error("run", "--kill-after needs --timeout");
        else if (!target.entry && optind == argc)
                cli_usage_error("run", "what to run is missing: a PROGRAM or --call MODULE:FUNCTION");
        else if (!target.entry && !*argv[optind]) {
                cli_complain("no program has the empty name");
                code = CLI_EXIT_NOT_FOUND;
        } else if (cli_leave_pid_1() == 0)
                code = run_target(&target, argv + optind);
        cli_target_done(&target);
        return code;
}
