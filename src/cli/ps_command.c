/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ps_table.h"

static const char help[] =
        "Usage: forkserver ps --socket PATH [OPTION]...\n"
        "List the processes that the server at PATH runs: a header, and a line for each.\n"
        "CPU, MEM and PROCS count a process with its family: all that it has started, and\n"
        "the process group that it leads.\n"
        "\n"
        "      --socket PATH      where it listens\n"
        "      --server-uid USER  the user that has to run it, a name or a number (default:\n"
        "                         you, or root)\n"
        "      --all              list its zygotes, standbys and others too, each with its\n"
        "                         role\n"
        "      --sort KEY         the order: age, the oldest first, which is the default;\n"
        "                         cpu and mem, the most first; pid\n"
        "      --pss              let MEM have its share of shared memory too; this takes\n"
        "                         longer\n"
        "      --json             print one JSON object instead\n"
        "  -h, --help             show this help\n"
        "\n"
        "Columns:\n"
        "  PID      its number\n"
        "  AGE      the time since its request was taken\n"
        "  CLIENT   the number of the process that asked for it\n"
        "  USER     the user of that process\n"
        "  CPU      CPU time, in minutes and seconds\n"
        "  MEM      memory that isn't shared with others or with a file\n"
        "  PROCS    how many processes the family has\n"
        "  LEFT     what is left of its time limit\n"
        "  SANDBOX  yes, if it is in a sandbox\n"
        "  WHAT     the function and its arguments, or the program and its own\n"
        "\n"
        "'-' stands for what isn't there or can't be known. If the server is in another\n"
        "pid namespace, its numbers are of there, and nothing is known of CPU, MEM, PROCS\n"
        "and WHAT. On a terminal a line is cut to its width.\n"
        "\n"
        "Exit code: 0; 125 if the server doesn't answer.\n";

static void print(const struct ps_view *view, const struct ps_options *options) {
        struct ps_size size = ps_size_now();

        if (options->json) {
                ps_json_print(stdout, view, options);
                return;
        }
        if (!view->is_ours)
                cli_complain(
                        "ps: /proc does not show this server's processes: it is in another pid namespace, or hidden");
        size.lines = PS_WHOLE;
        ps_table_print(stdout, view, options, size, "\n");
        putchar('\n');
}

int cli_ps(int argc, char **argv) {
        struct ps_options options = { .command = "ps", .help = help, .server_uid = FSRV_UID_OWN };
        struct ps_view before = { 0 }, view;
        struct fsrv_server *server;
        struct fsrv_error error = { 0 };
        int r = ps_options_parse(argc, argv, &options);

        if (r != 0)
                return r == 1 ? 0 : CLI_EXIT_OURS;
        r = cli_connect(options.path, options.server_uid, 0, &server, &error);
        if (r >= 0) {
                r = ps_view_take(server, &options, &before, &view, &error);
                fsrv_server_free(server);
        }
        if (r < 0) {
                cli_complain_error(&error);
                return CLI_EXIT_OURS;
        }
        print(&view, &options);
        ps_view_done(&view);
        return 0;
}
