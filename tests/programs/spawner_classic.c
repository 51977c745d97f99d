/* SPDX-License-Identifier: MIT */
/* The commands of the classic calls, which work on the process's default handle. */
#include "spawner.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 70000 };

static void do_ensure(int argc, char **argv) {
        (void)argc;
        (void)argv;
        say(fsrv_ensure_running(fresh_error()));
}

/* classic_preload MODULE…: "NULL" is one */
static void do_preload(int argc, char **argv) {
        const char **list = calloc((size_t)argc, sizeof *list);

        for (int i = 1; i < argc; i++)
                list[i - 1] = strcmp(argv[i], "NULL") == 0 ? NULL : argv[i];
        say(fsrv_set_preload(list, (size_t)argc - 1, fresh_error()));
        free(list);
}

static void do_preload_nothing(int argc, char **argv) {
        (void)argc;
        say(fsrv_set_preload(NULL, (size_t)atoi(argv[1]), fresh_error()));
}

static void do_entry(int argc, char **argv) {
        (void)argc;
        say(fsrv_set_entry(strcmp(argv[1], "NULL") == 0 ? NULL : argv[1], fresh_error()));
}

static void connect_with(const int *fds, size_t n) {
        int status_r = -2, data_w = -2;
        int r = fsrv_connect_to_new_process(fds, n, &status_r, &data_w, fresh_error());

        say(r < 0 && (status_r != -2 || data_w != -2) ? -1000 : r); /* outputs are left alone on failure */
        fprintf(answer, ",\"status_r\":%d,\"data_w\":%d", status_r, data_w);
}

/* classic_connect FD… */
static void do_connect(int argc, char **argv) {
        static int fds[LIST_MAX];

        for (int i = 1; i < argc && i <= LIST_MAX; i++)
                fds[i - 1] = atoi(argv[i]);
        connect_with(fds, (size_t)argc - 1);
}

/* classic_connect_same N FD: one fd, N times */
static void do_connect_same(int argc, char **argv) {
        static int fds[LIST_MAX];
        int n = atoi(argv[1]);

        (void)argc;
        for (int i = 0; i < n && i < LIST_MAX; i++)
                fds[i] = atoi(argv[2]);
        connect_with(fds, (size_t)n);
}

static void do_stop(int argc, char **argv) {
        (void)argc;
        say(fsrv_stop(atoi(argv[1]), fresh_error()));
}

static void do_stats(int argc, char **argv) {
        struct fsrv_stats stats = { .size = sizeof stats };
        struct fsrv_server *server;
        int r = fsrv_server_default(&server, fresh_error());

        (void)argc;
        (void)argv;
        if (r == 0)
                r = fsrv_server_get_stats(server, &stats, NULL);
        say(r);
        fprintf(answer, ",\"server_pid\":%d,\"zygote_pid\":%d,\"workers\":%u", (int)stats.server_pid,
                (int)stats.zygote_pid, stats.workers);
}

static void do_inherited(int argc, char **argv) {
        const int *fds;
        size_t n;

        (void)argc;
        (void)argv;
        fresh_error();
        say(fsrv_get_inherited_fds(&fds, &n));
}

static void do_read_signed(int argc, char **argv) {
        int64_t value = -12345;

        (void)argc;
        fresh_error();
        say(fsrv_read_signed(atoi(argv[1]), &value));
        fprintf(answer, ",\"value\":%" PRId64, value);
}

static void do_write_signed(int argc, char **argv) {
        (void)argc;
        fresh_error();
        say(fsrv_write_signed(atoi(argv[1]), strtoll(argv[2], NULL, 10)));
}

const struct command classic_commands[] = {
        { "classic_ensure", 0, do_ensure },
        { "classic_preload", 0, do_preload },
        { "classic_preload_nothing", 1, do_preload_nothing },
        { "classic_entry", 1, do_entry },
        { "classic_connect", 0, do_connect },
        { "classic_connect_same", 2, do_connect_same },
        { "classic_stop", 1, do_stop },
        { "classic_stats", 0, do_stats },
        { "classic_inherited", 0, do_inherited },
        { "read_signed", 1, do_read_signed },
        { "write_signed", 2, do_write_signed },
        { NULL, 0, NULL },
};
