/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "ps_table.h"
#include "top_head.h"
#include "top_live.h"
#include "top_screen.h"

static const char help[] =
        "Usage: forkserver top --socket PATH [OPTION]...\n"
        "Show what the server at PATH does now, and its processes, again and again. On a\n"
        "terminal this is a live view; elsewhere it is one table after the other. %CPU is\n"
        "a process's share of one processor since the table before; 'forkserver help ps'\n"
        "tells what the other columns are.\n"
        "\n"
        "      --socket PATH      where it listens\n"
        "      --server-uid USER  the user that has to run it, a name or a number (default:\n"
        "                         you, or root)\n"
        "      --interval TIME    the time between two tables, in seconds or as in 500ms,\n"
        "                         2m, 1h (default: 2)\n"
        "      --count N          print N tables and end, on a terminal too\n"
        "      --all              show its zygotes, standbys and others too, each with its\n"
        "                         role\n"
        "      --sort KEY         the order: age, the oldest first; cpu, which is the\n"
        "                         default, and mem, the most first; pid\n"
        "      --pss              let MEM have its share of shared memory too; this takes\n"
        "                         longer\n"
        "      --json             print a JSON object on a line instead of each table\n"
        "  -h, --help             show this help\n"
        "\n"
        "Keys of the live view:\n"
        "  c, m, a, p  sort by CPU, memory, age or pid\n"
        "  space       ask the server at once\n"
        "  h           show the keys\n"
        "  q           end\n"
        "\n"
        "Exit code: 0; 125 if the server doesn't answer, or has ended meanwhile.\n";

/* ---- one table after the other ---- */

static void print_plain(const struct ps_view *view, const struct ps_options *options, bool is_first) {
        struct ps_size size = ps_size_now();
        char text[TOP_LINE_SIZE];

        if (options->json) {
                ps_json_print(stdout, view, options);
                return;
        }
        fputs(is_first ? "" : "\n", stdout);
        for (size_t i = 0; i < TOP_HEAD_LINES; i++) {
                top_head_print(view, i, text);
                ps_line_put(stdout, text, size.columns);
                fputs(text[0] ? "\n" : "", stdout);
        }
        size.lines = PS_WHOLE;
        ps_table_print(stdout, view, options, size, "\n");
        putchar('\n');
}

/* Until then, or until nobody reads any more. */
static bool wait_until(int64_t then) {
        struct pollfd reader = { .fd = STDOUT_FILENO };
        int64_t left;

        while ((left = then - top_now_ms()) > 0)
                if (poll(&reader, 1, (int)left) > 0 && reader.revents & (POLLERR | POLLHUP | POLLNVAL))
                        return false;
        return true;
}

static int print_all(struct fsrv_server *server, struct ps_options *options, struct ps_view *view,
                     struct fsrv_error *error) {
        struct ps_view next;

        for (unsigned long i = 1;; i++) {
                int64_t then = top_now_ms() + (int64_t)cli_milliseconds(options->interval);

                print_plain(view, options, i == 1);
                if (fflush(stdout) != 0 || i == options->count) /* main complains of standard output */
                        return 0;
                if (!wait_until(then))
                        return 0;
                int r = ps_view_take(server, options, view, &next, error);
                if (r < 0)
                        return r;
                ps_view_done(view);
                *view = next;
        }
}

/* ---- the command ---- */

static void complain_of_end(const struct ps_options *options, const struct fsrv_error *error) {
        char text[CLI_ERROR_TEXT_SIZE];

        cli_error_text(error, text, sizeof text);
        cli_complain("top: the server at '%s' doesn't serve any more: %s", options->path, text);
}

static int run(struct fsrv_server *server, struct ps_options *options) {
        struct ps_view nothing = { 0 }, view;
        struct fsrv_error error = { 0 };
        int signal = 0, r = ps_view_take(server, options, &nothing, &view, &error);

        if (r < 0) {
                cli_complain_error(&error);
                return CLI_EXIT_OURS;
        }
        if (!options->json && options->count == 0 && top_screen_is_possible())
                r = top_live_run(server, options, &view, &signal, &error);
        else
                r = print_all(server, options, &view, &error);
        ps_view_done(&view);
        if (r < 0)
                complain_of_end(options, &error);
        if (signal)
                return cli_die_by(signal);
        return r < 0 ? CLI_EXIT_OURS : 0;
}

int cli_top(int argc, char **argv) {
        struct ps_options options = { .command = "top",
                                      .help = help,
                                      .server_uid = FSRV_UID_OWN,
                                      .is_top = true,
                                      .order = PS_BY_CPU,
                                      .interval = 2 };
        struct fsrv_server *server;
        struct fsrv_error error = { 0 };
        int r = ps_options_parse(argc, argv, &options);

        if (r != 0)
                return r == 1 ? 0 : CLI_EXIT_OURS;
        r = cli_connect(options.path, options.server_uid, 0, &server, &error);
        if (r < 0) {
                cli_complain_error(&error);
                return CLI_EXIT_OURS;
        }
        r = run(server, &options);
        fsrv_server_free(server);
        return r;
}
