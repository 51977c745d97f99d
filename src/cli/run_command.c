/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cli.h"
#include "run_debug.h"
#include "run_direct.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
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
        "      --wait TIME             wait so long at most until that server listens\n"
        "      --timeout TIME          end the process after this time (0: never), with all\n"
        "                              in its process group, which is a new one then. A TIME\n"
        "                              is in seconds, or as in 500ms, 2m, 1h, 1d\n"
        "      --kill-after TIME       at the time-out send SIGTERM, and SIGKILL only after\n"
        "                              this time more (default: SIGKILL at once)\n"
        "      --quick-exit            with --call: don't run exit functions and destructors\n"
        "                              of preloaded modules\n"
        "      --trace FILE            write a timeline to FILE: server, spawn and run, as Chrome's\n"
        "                              trace events, which ui.perfetto.dev shows\n"
        "      --sandbox PROFILE[,WORD]...  lock the process in: untrusted, pure-compute,\n"
        "                              no-network, no-exec, none; WORDs add to that, such as\n"
        "                              read=PATH ('forkserver check --help' has them)\n"
        "      --strict                fail if this system cannot enforce all of it\n"
        "      --sandbox-learn         close nothing, and say in the end what the run needed\n"
        "                              that the sandbox doesn't give; without a server\n"
        "      --ro-bind PATH[:TARGET], --bind PATH[:TARGET], --tmpfs TARGET, --proc TARGET,\n"
        "      --unshare-net, --unshare-ipc, --unshare-uts, --unshare-user,\n"
        "      --unshare-cgroup, --seccomp-filter FILE\n"
        "                              the same as WORDs of the sandbox (default: none)\n"
        "      --direct                run it in this very process, without a server: for\n"
        "                              valgrind, gdb --args, strace and sanitizers\n"
        "      --debug COMMAND         attach a debugger (gdb, lldb, or as in 'strace -f') to the\n"
        "                              process before FUNCTION or PROGRAM runs; '-p PID' is put\n"
        "                              behind COMMAND's first word. gdb goes on to it\n"
        "  -h, --help                  show this help\n" CLI_ATTRIBUTE_HELP
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
        struct fsrv_error error = { 0 };
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
                                                            (target->quick_exit ? FSRV_SPAWN_QUICK_EXIT : 0) |
                                                            (target->debug ? FSRV_SPAWN_STOPPED : 0));
        if (r >= 0)
                r = fsrv_request_set_time_limit(request, cli_milliseconds(target->timeout),
                                                cli_milliseconds(target->kill_after));
        if (r >= 0 && target->timeout) /* all that it starts is to end with it, as under timeout(1) */
                r = fsrv_request_set_process_group(request, 0);
        if (r >= 0)
                r = fsrv_request_set_sandbox(request, target->sandbox.sandbox);
        if (r >= 0)
                r = cli_inherited_pass_on(inherited, request);
        if (r < 0) {
                cli_complain("cannot describe what to run: %s", strerror(-r));
                return r;
        }
        r = cli_attributes_set(&target->attributes, request, &error);
        if (r < 0)
                cli_complain_error(&error);
        return r;
}

/* The exit code. */
static int spawn_and_wait(struct fsrv_server *server, struct fsrv_request *request,
                          const struct cli_inherited *inherited, const struct cli_target *target,
                          struct fsrv_status *ret_status) {
        struct fsrv_process *process;
        struct cli_signals signals;
        int code = cli_only_process_spawn(server, request, target, &signals, &process);

        if (code != 0)
                return code;
        if (target->debug)
                code = cli_debug(process, target, &signals);
        close_passed_fds(inherited);
        if (code == 0)
                code = cli_only_process_wait(process, target, &signals, ret_status);
        fsrv_process_unref(process);
        return code;
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
        cli_complain_of_death(&status, target, name);
        return status.signal ? cli_die_by(status.signal) : code;
}

enum { OPT_DIRECT = 256, OPT_DEBUG };

static const struct option options[] = {
        { "call", required_argument, NULL, CLI_OPT_CALL },
        CLI_TARGET_OPTIONS,
        { "sandbox-learn", no_argument, NULL, CLI_OPT_SANDBOX_LEARN },
        { "direct", no_argument, NULL, OPT_DIRECT },
        { "debug", required_argument, NULL, OPT_DEBUG },
        { "help", no_argument, NULL, 'h' },
        { 0 },
};

/* 0: run it; 1: the help was shown; negative: misuse, with a complaint. */
static int parse(int argc, char **argv, struct cli_target *target, bool *ret_direct) {
        int c, r = 0;

        opterr = 0;
        while (r == 0 && (c = getopt_long(argc, argv, "+:h", options, NULL)) != -1)
                if (c == 'h') {
                        fputs(help, stdout);
                        return 1;
                } else if (c == OPT_DIRECT) {
                        *ret_direct = true;
                } else if (c == OPT_DEBUG) {
                        target->debug = optarg;
                } else if ((r = cli_target_take_option(target, c)) == 1) {
                        cli_bad_option("run", c, argv);
                        return -EINVAL;
                }
        return r;
}

static int learn_or_run(const struct cli_target *target, char **operands) {
        if (!target->sandbox.learns)
                return cli_leave_pid_1() == 0 ? run_target(target, operands) : CLI_EXIT_OURS;
        if (target->entry)
                *--operands = (char *)target->entry; /* as in fill_request() */
        return cli_learn(target, operands);
}

/* What is wrong with --direct or --debug; NULL: nothing. */
static const char *find_conflict(const struct cli_target *target, bool direct) {
        if (direct && target->debug)
                return "--debug attaches to a worker, and --direct has none: 'gdb --args forkserver run --direct …'";
        if (direct)
                return cli_direct_find_conflict(target);
        if (target->debug && !target->debug[strspn(target->debug, " \t")])
                return "--debug: the debugger's name is missing";
        if (target->debug && target->sandbox.learns)
                return "--debug and --sandbox-learn exclude each other";
        if (target->debug && target->timeout)
                return "--debug and --timeout exclude each other: the limit would go on while the debugger waits";
        return cli_attributes_find_conflict(&target->attributes);
}

int cli_run(int argc, char **argv) {
        struct cli_target target = CLI_TARGET_INIT;
        bool direct = false;
        int r = parse(argc, argv, &target, &direct), code = CLI_EXIT_OURS;
        const char *conflict;

        target.program = r == 0 ? argv[optind] : NULL;
        if (r == 1)
                code = 0;
        else if (r < 0)
                ;
        else if (target.entry && !cli_is_entry(target.entry))
                cli_usage_error("run", "--call: '%s' is not MODULE:FUNCTION", target.entry);
        else if (target.quick_exit && !target.entry)
                cli_usage_error("run", "--quick-exit is for --call: a program has exit functions of its own alone");
        else if (target.sandbox.strict && !cli_sandbox_is_wanted(&target.sandbox))
                cli_usage_error("run", "--strict needs --sandbox");
        else if (target.sandbox.learns && !target.sandbox.text)
                cli_usage_error("run", "--sandbox-learn needs --sandbox: what is there already");
        else if (target.sandbox.learns && target.socket_path)
                cli_usage_error("run", "--sandbox-learn runs the program itself, without the server at --socket");
        else if (target.kill_after && !target.timeout)
                cli_usage_error("run", "--kill-after needs --timeout");
        else if ((conflict = find_conflict(&target, direct)))
                cli_usage_error("run", "%s", conflict);
        else if (!target.entry && optind == argc)
                cli_usage_error("run", "what to run is missing: a PROGRAM or --call MODULE:FUNCTION");
        else if (!target.entry && !*argv[optind]) {
                cli_complain("no program has the empty name");
                code = CLI_EXIT_NOT_FOUND;
        } else if (direct)
                code = cli_direct_run(&target, argv + optind);
        else if (cli_sandbox_make(&target.sandbox) == 0)
                code = learn_or_run(&target, argv + optind);
        cli_target_done(&target);
        return code;
}
