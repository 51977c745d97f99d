/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
        "Usage: forkserver COMMAND [OPTION]... [ARG]...\n"
        "Load libraries and data once; run every job in its own fresh process.\n"
        "\n"
        "Commands:\n"
        "  run     run one program, or one function of a module, in a new process\n"
        "  call    call one function of a module in a new process: bytes in, a result out\n"
        "  map     run one process for each line of standard input\n"
        "  check   show what preloading a module costs, and what speaks against forking\n"
        "          after it\n"
        "  serve   run a server that others use by a socket\n"
        "  stop    let such a server finish its work and end\n"
        "  reload  let such a server load its modules anew, without a gap\n"
        "  ping    ask whether such a server answers\n"
        "  stats   show what such a server counted\n"
        "  ps      list the processes of such a server\n"
        "  top     watch such a server and its processes\n"
        "  help    show this help; 'forkserver help COMMAND' shows a command's\n"
        "\n"
        "  -h, --help     the same as 'help'; 'forkserver COMMAND --help' as well\n"
        "      --version  show the version\n"
        "\n"
        "Exit code: 125 when forkserver itself fails; each command's help has the others.\n";

static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
} commands[] = {
        { "run", cli_run },     { "call", cli_call }, { "map", cli_map },       { "check", cli_check },
        { "serve", cli_serve }, { "stop", cli_stop }, { "reload", cli_reload }, { "ping", cli_ping },
        { "stats", cli_stats }, { "ps", cli_ps },     { "top", cli_top },
};

static int run_named(int argc, char **argv) {
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
                if (strcmp(argv[0], commands[i].name) == 0)
                        return commands[i].run(argc, argv);
        return cli_usage_error("", "unknown command '%s'", argv[0]);
}

static int show_help(char **operands) {
        static char option[] = "--help";

        if (!operands[0] || strcmp(operands[0], "help") == 0 || strcmp(operands[0], "--help") == 0)
                return fputs(help, stdout) < 0 ? CLI_EXIT_OURS : 0;
        if (operands[1])
                return cli_usage_error("", "'%s' is one operand too many", operands[1]);
        return run_named(2, (char *[]){ operands[0], option, NULL });
}

static int run_command(int argc, char **argv) {
        if (argc < 2)
                return cli_usage_error("", "a command is missing");
        if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
                return show_help(argv + argc);
        if (strcmp(argv[1], "help") == 0)
                return show_help(argv + 2);
        if (strcmp(argv[1], "--version") == 0)
                return printf("forkserver %s\n", fsrv_version()) < 0 ? CLI_EXIT_OURS : 0;
        if (argv[1][0] == '-')
                return cli_usage_error("", "unknown option '%s'", argv[1]);
        return run_named(argc - 1, argv + 1);
}

int main(int argc, char **argv) {
        int code;

        cli_open_streams();
        code = run_command(argc, argv);

        /* A full disk shows only here: what was printed is still in stdio's buffer. */
        if (fflush(stdout) != 0 || ferror(stdout)) {
                cli_complain("cannot write to standard output: %s", strerror(errno));
                return CLI_EXIT_OURS;
        }
        return code;
}
