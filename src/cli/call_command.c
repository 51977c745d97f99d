/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
        "Usage: forkserver call [OPTION]... [--] MODULE:FUNCTION [ARG]... <INPUT >RESULT\n"
        "Call FUNCTION (which is like main) of the shared object MODULE in a new process\n"
        "of a fork server. Standard input, up to its end, is the function's payload\n"
        "(fsrv_worker_get_payload()). What it gives back (fsrv_worker_set_result()) is\n"
        "written to standard output when the process has ended; if it fails, nothing is.\n"
        "Options end at the first operand or at '--'.\n"
        "\n"
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
        "      --quick-exit            don't run exit functions and destructors of preloaded\n"
        "                              modules\n"
        "      --trace FILE            write a timeline to FILE: server, spawn and run, as Chrome's\n"
        "                              trace events, which ui.perfetto.dev shows\n"
        "      --sandbox PROFILE[,WORD]...  lock the process in: untrusted, pure-compute,\n"
        "                              no-network, no-exec, none; WORDs add to that, such as\n"
        "                              read=PATH ('forkserver check --help' has them)\n"
        "      --strict                fail if this system cannot enforce all of it\n"
        "      --ro-bind PATH[:TARGET], --bind PATH[:TARGET], --tmpfs TARGET, --proc TARGET,\n"
        "      --unshare-net, --unshare-ipc, --unshare-uts, --unshare-user,\n"
        "      --unshare-cgroup, --seccomp-filter FILE\n"
        "                              the same as WORDs of the sandbox (default: none)\n"
        "  -h, --help                  show this help\n" CLI_ATTRIBUTE_HELP
        "\n"
        "A file as standard input is not copied: the process maps it. It must not shrink\n"
        "meanwhile. Anything else is read to its end before the process starts.\n"
        "\n"
        "The process reads nothing from its own standard input. What it prints to its\n"
        "standard output comes on standard error. All else is as with 'forkserver run'.\n"
        "\n"
        "Exit code: 0 if the result was written. If the function has failed by\n"
        "fsrv_worker_fail(), whose text is printed on standard error: the process's own\n"
        "if that isn't 0, or the failure's code if that is 1 to 123, or 1. Else as\n"
        "'forkserver run': the process's own; 128+N if signal N ended it; 124 if it ended\n"
        "by itself after the time-out's SIGTERM; 125 if forkserver itself fails, or the\n"
        "result does not arrive.\n";

/* ---- the input ---- */

/* A file of /proc says that it is empty. One that stands elsewhere than at its beginning is read from there. */
static bool is_whole_file(int fd) {
        struct stat st;

        return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && lseek(fd, 0, SEEK_CUR) == 0;
}

/* Another program may have set O_NONBLOCK. 0, or -1 if that isn't why read(2) or write(2) failed. */
static int wait_if_needed(int fd, short events) {
        struct pollfd entry = { .fd = fd, .events = events };

        if (errno != EAGAIN)
                return errno == EINTR ? 0 : -1;
        poll(&entry, 1, -1);
        return 0;
}

/* 0 or -errno */
static int copy_to_end(int from, int to) {
        static char bytes[1 << 18];
        ssize_t n;

        while ((n = read(from, bytes, sizeof bytes)) != 0) {
                if (n < 0 && wait_if_needed(from, POLLIN) < 0)
                        return -errno;
                for (ssize_t done = 0, k; done < n; done += k)
                        if ((k = write(to, bytes + done, (size_t)(n - done))) < 0)
                                return -errno;
        }
        return 0;
}

/* An fd of a file with the input; or -errno with a complaint. */
static int open_input(void) {
        if (is_whole_file(STDIN_FILENO))
                return STDIN_FILENO;
        int fd = memfd_create("input", MFD_CLOEXEC), r = fd < 0 ? -errno : copy_to_end(STDIN_FILENO, fd);
        if (r < 0)
                cli_complain("cannot read the input: %s", strerror(-r));
        return r < 0 ? r : fd;
}

/* ---- the process ---- */

/* What is printed goes to standard error, where there is one. */
static int redirect_prints(struct fsrv_request *request) {
        return cli_closed_streams & 1u << STDERR_FILENO
                       ? fsrv_request_add_open(request, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
                       : fsrv_request_add_dup2(request, STDERR_FILENO, STDOUT_FILENO);
}

/* Opened here: a server that runs entry points alone opens no files. */
static int close_input(struct fsrv_request *request) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        return null < 0 ? -errno : fsrv_request_add_dup2(request, null, STDIN_FILENO);
}

static int fill_request(struct fsrv_request *request, const struct cli_target *target,
                        const struct cli_inherited *inherited, char **words, int input) {
        uint32_t flags = FSRV_SPAWN_KILL_ON_CLOSE | FSRV_SPAWN_TELL_STOPS | FSRV_SPAWN_RESULT;
        struct fsrv_error error = { 0 };
        int r = fsrv_request_set_entry(request, target->entry);

        if (r < 0 || (r = fsrv_request_set_argv(request, (const char *const *)words)) < 0 ||
            (r = fsrv_request_set_payload_fd(request, input)) < 0 ||
            (r = fsrv_request_set_flags(request, flags | (target->quick_exit ? FSRV_SPAWN_QUICK_EXIT : 0))) < 0 ||
            (r = fsrv_request_set_time_limit(request, cli_milliseconds(target->timeout),
                                             cli_milliseconds(target->kill_after))) < 0 ||
            (target->timeout && (r = fsrv_request_set_process_group(request, 0)) < 0) ||
            (r = fsrv_request_set_sandbox(request, target->sandbox.sandbox)) < 0 ||
            (r = cli_inherited_pass_on(inherited, request)) < 0 || (r = close_input(request)) < 0 ||
            (r = redirect_prints(request)) < 0)
                cli_complain("cannot describe what to call: %s", strerror(-r));
        else if ((r = cli_attributes_set(&target->attributes, request, &error)) < 0)
                cli_complain_error(&error);
        return r;
}

static int write_result(const struct fsrv_result *result) {
        const char *bytes = result->bytes;

        for (size_t n = result->n; n > 0;) {
                ssize_t k = write(STDOUT_FILENO, bytes, n);
                if (k < 0 && wait_if_needed(STDOUT_FILENO, POLLOUT) < 0) {
                        cli_complain("cannot write the result: %s", strerror(errno));
                        return CLI_EXIT_OURS;
                }
                if (k > 0) {
                        bytes += k;
                        n -= (size_t)k;
                }
        }
        return 0;
}

/* own: the process's. Codes from 124 on have a meaning here. */
static int code_of_failure(int own, int code) {
        if (own != 0)
                return own;
        return code > 0 && code < CLI_EXIT_TIMED_OUT ? code : 1;
}

/* `code`: what it is without a result. */
static int take_result(struct fsrv_process *process, const struct cli_target *target, int code) {
        struct fsrv_result result = { .size = sizeof result };
        struct fsrv_error error;
        int r = fsrv_process_get_result(process, &result, &error);

        if (r == 0)
                code = write_result(&result);
        else if (r == -EREMOTEIO) {
                cli_complain("%s: %s", target->entry, error.text);
                code = code_of_failure(code, result.code);
        } else if (r == -EIO && result.status.signal == SIGBUS) /* the input's file may have shrunk: it says so */
                cli_complain("%s: %s", target->entry, error.text);
        else if (r == -EIO || r == -ETIMEDOUT)
                cli_complain_of_death(&result.status, target, target->entry);
        else {
                cli_complain_error(&error);
                code = CLI_EXIT_OURS;
        }
        fsrv_result_free(&result);
        return code;
}

/* The exit code. */
static int call_and_wait(struct fsrv_server *server, struct fsrv_request *request,
                         const struct cli_inherited *inherited, const struct cli_target *target,
                         struct fsrv_status *ret_status) {
        struct fsrv_process *process;
        struct cli_signals signals;
        int code = cli_only_process_spawn(server, request, target, &signals, &process);

        if (code != 0)
                return code;
        for (size_t i = 0; i < inherited->n; i++) /* a pipe's reader is to see its end when the process closes it */
                close(inherited->fds[i]);
        code = cli_only_process_wait(process, target, &signals, ret_status);
        cli_signals_restore(&signals); /* writing may take for ever */
        if (ret_status->pid > 0)
                code = take_result(process, target, code);
        fsrv_process_unref(process);
        return code;
}

static int call_target(const struct cli_target *target, char **words) {
        struct fsrv_request *request = NULL;
        struct fsrv_server *server = NULL;
        struct cli_inherited inherited = { 0 };
        struct fsrv_status status = { .size = sizeof status };
        int code = CLI_EXIT_OURS, input = -1;

        if (cli_inherited_collect(&inherited) < 0 || fsrv_request_new(&request) < 0)
                cli_complain("out of memory");
        else if (cli_target_open(target, &server) >= 0) {
                fsrv_server_ensure_running(server, NULL); /* modules are loaded while the input comes */
                if ((input = open_input()) >= 0 && fill_request(request, target, &inherited, words, input) >= 0)
                        code = call_and_wait(server, request, &inherited, target, &status);
        }
        fsrv_server_free(server);
        fsrv_request_free(request);
        cli_inherited_done(&inherited);
        return status.signal ? cli_die_by(status.signal) : code;
}

static const struct option options[] = {
        CLI_TARGET_OPTIONS,
        { "help", no_argument, NULL, 'h' },
        { 0 },
};

/* 0: call it; 1: the help was shown; negative: misuse, with a complaint. */
static int parse(int argc, char **argv, struct cli_target *target) {
        int c, r = 0;

        opterr = 0;
        while (r == 0 && (c = getopt_long(argc, argv, "+:h", options, NULL)) != -1)
                if (c == 'h') {
                        fputs(help, stdout);
                        return 1;
                } else if ((r = cli_target_take_option(target, c)) == 1) {
                        cli_bad_option("call", c, argv);
                        return -EINVAL;
                }
        target->entry = argv[optind];
        return r;
}

int cli_call(int argc, char **argv) {
        struct cli_target target = CLI_TARGET_INIT;
        int r = parse(argc, argv, &target), code = CLI_EXIT_OURS;
        const char *conflict;

        if (r == 1)
                code = 0;
        else if (r < 0)
                ;
        else if (!target.entry)
                cli_usage_error("call", "what to call is missing: MODULE:FUNCTION");
        else if (!cli_is_entry(target.entry))
                cli_usage_error("call", "'%s' is not MODULE:FUNCTION", target.entry);
        else if (target.kill_after && !target.timeout)
                cli_usage_error("call", "--kill-after needs --timeout");
        else if ((conflict = cli_attributes_find_conflict(&target.attributes)))
                cli_usage_error("call", "%s", conflict);
        else if (cli_leave_pid_1() == 0)
                code = call_target(&target, argv + optind);
        cli_target_done(&target);
        return code;
}
