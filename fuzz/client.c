/* SPDX-License-Identifier: MIT */
/*
 * The client: any answers to a spawn, to the question after its status, and to one to the server itself. They wait in
 * the socket before it is asked. An input: bits (1: a question to the server; 2: a program; 4: an end after
 * the messages), then messages, each with fds.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "client/launch.h"
#include "forkserver.h"
#include "wire/channel.h"

static struct fuzz_input input;
static bool asks, ends;

int __wrap_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number) {
        (void)number;
        FSRV_FUZZ_CHECK(pid > 0); /* never a group, or all */
        return 0;
}

int __wrap_fsrv__pidfd_send_signal(int pidfd, int number);
int __wrap_fsrv__pidfd_send_signal(int pidfd, int number) {
        (void)number;
        FSRV_FUZZ_CHECK(pidfd >= FUZZ_FIRST_FD && fsrv__fd_is_open(pidfd) == 1); /* one that has come */
        return 0;
}

int __wrap_fsrv__pidfd_signal_group(int pidfd, int number);
int __wrap_fsrv__pidfd_signal_group(int pidfd, int number) {
        (void)number;
        FSRV_FUZZ_CHECK(pidfd >= FUZZ_FIRST_FD && fsrv__fd_is_open(pidfd) == 1);
        return 0;
}

static void answer(int sock, size_t most) {
        char bytes[700];

        while (input.left > 0 && most-- > 0) {
                uint8_t n_fds = fuzz_byte(&input);
                size_t n = fuzz_message(&input, bytes, sizeof bytes);
                fuzz_send(sock, bytes, n, n_fds % 8 == 7 ? n_fds : n_fds % 4);
        }
}

/* The pair for the answers, made by the spawn: all that will ever be said is in it at once. */
int __real_fsrv__socketpair(int ret_fds[2]);
int __wrap_fsrv__socketpair(int ret_fds[2]);
int __wrap_fsrv__socketpair(int ret_fds[2]) {
        int r = __real_fsrv__socketpair(ret_fds);

        if (r == 0 && asks) {
                answer(ret_fds[1], 3);
                if (ends)
                        shutdown(ret_fds[1], SHUT_RDWR);
        }
        return r;
}

static void check_error(int r, const struct fsrv_error *error) {
        FSRV_FUZZ_CHECK(r >= 0 || memchr(error->text, 0, sizeof error->text));
        (void)fsrv_stage_name(error->stage);
}

static void spawn(struct fsrv_server *server, bool program) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error = { 0 };
        struct fsrv_process *process;
        struct fsrv_request *request;

        if (fsrv_request_new(&request) < 0)
                return;
        program ? fsrv_request_set_program(request, "true") : fsrv_request_set_entry(request, "module:function");
        fsrv_request_set_spawn_timeout(request, 1);
        fsrv_request_set_flags(request, FSRV_SPAWN_KILL_ON_CLOSE);
        asks = true;
        int r = fsrv_spawn(server, request, &process, &error);
        asks = false;
        check_error(r, &error);
        if (r >= 0) {
                check_error(fsrv_process_wait(process, 0, &status, &error), &error);
                check_error(fsrv_process_wait(process, 0, &status, &error), &error);
                fsrv_process_unref(process);
        }
        fsrv_request_free(request);
}

/* A handle whose doorbell somebody holds who listens to nothing. */
static void spawn_at(int doorbell, bool program) {
        struct fsrv_server *server;

        if (fsrv_server_new(NULL, &server, NULL) < 0)
                return;
        server->kind = FSRV_SERVER_INHERITED; /* it cannot be started again */
        server->link = fsrv__link_new(doorbell);
        spawn(server, program);
        fsrv_server_free(server);
}

static void ask_for_stats(int admin) {
        const struct fsrv__question question = { .type = FSRV_WIRE_ADMIN_STATS,
                                                 .name = "it",
                                                 .deadline = fsrv__deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS) };
        struct fsrv_error error = { 0 };
        struct fsrv__wire_stats stats;
        int r = fsrv__ask(admin, &question, &stats.reply, sizeof stats, &error);

        FSRV_FUZZ_CHECK(r <= 0);
        check_error(r, &error);
        close(admin);
}

static void hear_of_attach(int admin) {
        char name[] = "it";
        struct fsrv_server server = { .kind = FSRV_SERVER_NAMED, .path = name };
        struct fsrv__launch launch = { .admin = admin, .doorbell = -1 };
        struct fsrv_error error = { 0 };
        int r = fsrv__attach_answer(&server, &launch, &error);

        check_error(r, &error);
        FSRV_FUZZ_CHECK(r <= 0 && (launch.doorbell >= 0) == (r == 0)); /* a doorbell, or a failure */
        fsrv__fd_close(launch.doorbell);
}

static void ask_server(const int pair[2], bool attaches) {
        answer(pair[1], 1);
        close(pair[1]);
        if (attaches)
                hear_of_attach(pair[0]);
        else
                ask_for_stats(pair[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        int pair[2];

        input = (struct fuzz_input){ data, size };
        uint8_t how = fuzz_byte(&input);
        ends = how & 4;
        fuzz_begin();
        if (fsrv__socketpair(pair) == 0) {
                if (how & 1) {
                        ask_server(pair, how & 2);
                } else {
                        spawn_at(pair[0], how & 2);
                        close(pair[1]);
                }
                fuzz_check_fds(0);
                fuzz_check_memory();
        }
        fuzz_end();
        return 0;
}
