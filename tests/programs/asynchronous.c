/* SPDX-License-Identifier: MIT */
/*
 * asynchronous DIRECTORY: spawns that an event loop finishes. A server of that directory takes until there is a file
 * "go" in it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <forkserver.h>

enum { MANY = 200, LONG_MS = 20000, SHORT_MS = 50 };

static struct fsrv_server *server;
static struct fsrv_error error;
static char go[4096];

static void expect_at(int line, int good) {
        if (good)
                return;
        fprintf(stderr, "asynchronous: line %d: %s\n", line, error.text);
        exit(1);
}
#define expect(good) expect_at(__LINE__, good)

static struct fsrv_spawn_handle *start(const char *command, int timeout_ms) {
        struct fsrv_spawn_handle *spawn;
        static struct fsrv_request *request;

        fsrv_request_free(request); /* the one before is done with, or equal */
        expect(fsrv_request_new(&request) == 0 && fsrv_request_set_program(request, "/bin/sh") == 0 &&
               fsrv_request_set_argv(request, (const char *const[]){ "sh", "-c", command, NULL }) == 0 &&
               fsrv_request_set_spawn_timeout(request, timeout_ms) == 0);
        expect(fsrv_spawn_start(server, request, &spawn, &error) == 0);
        return spawn;
}

static int is_readable(const struct fsrv_spawn_handle *spawn, int timeout_ms) {
        struct pollfd entry = { .fd = fsrv_spawn_get_poll_fd(spawn), .events = POLLIN };

        return poll(&entry, 1, timeout_ms) == 1;
}

/* By its fd alone. */
static int finish(struct fsrv_spawn_handle *spawn, struct fsrv_process **ret_process) {
        int r, steps = 0;

        do {
                expect(is_readable(spawn, LONG_MS) && ++steps < 1000);
                r = fsrv_spawn_finish(spawn, ret_process, &error);
        } while (r == 1);
        return r;
}

static void expect_exit_code(struct fsrv_process *process, int code) {
        struct fsrv_status status = { .size = sizeof status };

        expect(fsrv_process_wait(process, LONG_MS, &status, &error) == 0 && status.exit_code == code);
        fsrv_process_unref(process);
}

static int count_fds(void) {
        int n = 0;

        for (int fd = 0; fd < 1024; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

/* Nothing to do while the server takes its time, but at the spawn time-out. */
static void slow_server(void) {
        struct fsrv_process *process;
        struct fsrv_spawn_handle *late = start("exit 1", SHORT_MS), *other = start("exit 1", LONG_MS);

        expect(fsrv_spawn_finish(other, &process, &error) == 1 && !is_readable(other, 0));
        expect(finish(late, &process) == -ETIMEDOUT && error.stage == FSRV_STAGE_START);
        expect(fsrv_spawn_cancel(other) == 0);
        other = start("exit 3", LONG_MS);
        expect(!is_readable(other, 0));
        close(open(go, O_CREAT | O_WRONLY, 0600));
        expect(finish(other, &process) == 0);
        expect_exit_code(process, 3);
}

static void many(void) {
        struct fsrv_spawn_handle *spawns[MANY];
        struct fsrv_process *process;
        struct fsrv_request *request;

        expect(fsrv_request_new(&request) == 0 && fsrv_request_set_program(request, "true") == 0);
        for (int i = 0; i < MANY; i++)
                expect(fsrv_spawn_start(server, request, &spawns[i], &error) == 0);
        for (int i = MANY - 1; i >= 0; i--) {
                expect(finish(spawns[i], &process) == 0);
                expect_exit_code(process, 0);
        }
        fsrv_request_free(request);
}

/* The one that is on its way finds the next server. */
static void killed_server(void) {
        struct fsrv_stats stats = { .size = sizeof stats };
        struct fsrv_process *process;

        expect(fsrv_server_get_stats(server, &stats, &error) == 0);
        kill(stats.server_pid, SIGSTOP); /* no standby is replaced: the queue is left with it */
        struct fsrv_spawn_handle *spawns[16];
        struct fsrv_request *request;
        expect(fsrv_request_new(&request) == 0 && fsrv_request_set_program(request, "true") == 0);
        for (int i = 0; i < 16; i++)
                expect(fsrv_spawn_start(server, request, &spawns[i], &error) == 0);
        kill(stats.server_pid, SIGKILL);
        for (int i = 0; i < 16; i++) {
                expect(finish(spawns[i], &process) == 0);
                fsrv_process_unref(process);
        }
        fsrv_request_free(request);
}

/* At once nothing runs, or it is killed; what has started is killed. (No child of a killed shell is left.) */
static void cancelled(void) {
        expect(fsrv_spawn_cancel(start("exec sleep 1000", LONG_MS)) >= 0);
        struct fsrv_spawn_handle *spawn = start("exec sleep 1000", LONG_MS);
        expect(is_readable(spawn, LONG_MS));
        expect(fsrv_spawn_cancel(spawn) == 1);
}

static void wrong(void) {
        struct fsrv_spawn_handle *spawn;
        struct fsrv_process *process;
        struct fsrv_request *request;

        expect(fsrv_request_new(&request) == 0);
        expect(fsrv_spawn_start(server, request, &spawn, &error) == -EINVAL);
        expect(fsrv_request_set_program(request, "/no/such/program") == 0);
        expect(fsrv_spawn_start(server, request, &spawn, &error) == 0);
        expect(finish(spawn, &process) == -ENOENT && error.stage == FSRV_STAGE_EXEC);
        expect(fsrv_request_set_program(request, "true") == 0 && fsrv_request_add_dup2(request, 999, 5) == 0);
        expect(fsrv_spawn_start(server, request, &spawn, &error) == -EBADF && error.stage == FSRV_STAGE_FDS);
        fsrv_request_free(request);
}

int main(int argc, char **argv) {
        struct fsrv_server_options options = { .size = sizeof options };

        if (argc != 2)
                return 2;
        int fds = count_fds();
        snprintf(go, sizeof go, "%s/go", argv[1]);
        options.helper_directory = argv[1];
        expect(fsrv_server_new(&options, &server, &error) == 0);
        slow_server();
        many();
        cancelled();
        killed_server();
        wrong();
        fsrv_server_free(server);
        if (count_fds() != fds)
                fprintf(stderr, "asynchronous: %d fds are left\n", count_fds() - fds);
        return 0;
}
