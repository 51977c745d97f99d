/* SPDX-License-Identifier: MIT */
/* communicate: input into processes, and their outputs. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <forkserver.h>

enum { ALL = FSRV_PIPE_STDIN | FSRV_PIPE_STDOUT | FSRV_PIPE_STDERR, LONG_MS = 60000, SHORT_MS = 20 };
enum { MUCH = 3 << 20 }; /* more than any pipe holds */

static struct fsrv_server *server;
static struct fsrv_error error;
static char *much;

static void expect_at(int line, int good) {
        if (good)
                return;
        fprintf(stderr, "communicate: line %d: %s\n", line, error.text);
        exit(1);
}
#define expect(good) expect_at(__LINE__, good)

static struct fsrv_process *start(const char *command, uint32_t which, int fds[3]) {
        struct fsrv_request *request;
        struct fsrv_process *process;

        expect(fsrv_request_new(&request) == 0 && fsrv_request_set_program(request, "/bin/sh") == 0 &&
               fsrv_request_set_argv(request, (const char *const[]){ "sh", "-c", command, NULL }) == 0 &&
               fsrv_request_set_flags(request, FSRV_SPAWN_KILL_ON_CLOSE) == 0);
        expect(fsrv_spawn_pipes(server, request, which, fds, &process, &error) == 0);
        fsrv_request_free(request);
        return process;
}

static int is_much(const struct fsrv_output *output) {
        return output->size == MUCH && memcmp(output->bytes, much, MUCH) == 0 && output->dropped == 0;
}

static void finish(struct fsrv_process *process, const int fds[3], struct fsrv_communication *c) {
        expect(fds[0] == -1 && fds[1] == -1 && fds[2] == -1);
        fsrv_communication_free(c);
        fsrv_process_unref(process);
}

static void both_ways(void) {
        struct fsrv_communication c = { .size = sizeof c, .input = much, .input_size = MUCH };
        int fds[3];
        struct fsrv_process *process = start("tee /dev/stderr; exit 7", ALL, fds);

        expect(fsrv_communicate(process, fds, &c, LONG_MS, &error) == 0);
        expect(is_much(&c.output) && is_much(&c.error) && c.input_taken == MUCH);
        expect(c.status.exit_code == 7 && c.status.pid == fsrv_process_get_pid(process));
        finish(process, fds, &c);
}

static void limited(void) {
        struct fsrv_communication c = { .size = sizeof c, .input = much, .input_size = MUCH, .output.limit = 100001 };
        int fds[3];
        struct fsrv_process *process = start("cat", FSRV_PIPE_STDIN | FSRV_PIPE_STDOUT, fds);

        expect(fsrv_communicate(process, fds, &c, LONG_MS, &error) == 0);
        expect(c.output.size == 100001 && c.output.dropped == MUCH - 100001 && !c.output.bytes[100001]);
        expect(memcmp(c.output.bytes, much, 100001) == 0 && !c.error.bytes);
        finish(process, fds, &c);
}

/* A process that reads little, or nothing: there is no SIGPIPE, and nothing waits. */
static void unread(const char *command) {
        struct fsrv_communication c = { .size = sizeof c, .input = much, .input_size = MUCH };
        sigset_t before, after, pending;
        int fds[3];
        struct fsrv_process *process = start(command, ALL, fds);

        sigprocmask(SIG_SETMASK, NULL, &before);
        expect(fsrv_communicate(process, fds, &c, LONG_MS, &error) == 0);
        sigprocmask(SIG_SETMASK, NULL, &after);
        sigpending(&pending);
        expect(!sigismember(&pending, SIGPIPE) && sigismember(&before, SIGPIPE) == sigismember(&after, SIGPIPE));
        expect(c.input_taken < MUCH && c.status.exit_code == 0);
        if (atoi(c.output.bytes ? c.output.bytes : "") > 1)
                kill((pid_t)atoi(c.output.bytes), SIGKILL);
        finish(process, fds, &c);
}

/* A time-out, and on with it: until it says something, then after its end. */
static void again(const char *command, size_t limit, int who) {
        struct fsrv_communication c = { .size = sizeof c, .output.limit = limit };
        int fds[3];
        struct fsrv_process *process = start(command, ALL, fds);

        while (!c.output.bytes || !strchr(c.output.bytes, '\n'))
                expect(fsrv_communicate(process, fds, &c, SHORT_MS, &error) == -ETIMEDOUT &&
                       error.stage == FSRV_STAGE_STATUS);
        expect(fds[1] >= 0 && fcntl(fds[1], F_GETFD) >= 0);
        if (who == 0)
                expect(fsrv_process_kill(process, SIGKILL) == 0);
        else
                kill((pid_t)atoi(c.output.bytes), SIGKILL); /* what it left in the background */
        expect(fsrv_communicate(process, fds, &c, LONG_MS, &error) == 0);
        expect(who == 0 ? c.status.signal == SIGKILL : c.status.exit_code == 3);
        expect(!limit || c.output.size == limit);
        finish(process, fds, &c);
}

static void wrong(void) {
        struct fsrv_communication c = { .size = 1 };
        int fds[3];
        struct fsrv_process *process = start("cat", ALL, fds);

        expect(fsrv_communicate(process, fds, &c, LONG_MS, &error) == -EINVAL);
        c.size = sizeof c;
        close(fds[1]);
        expect(fsrv_communicate(process, fds, &c, LONG_MS, &error) == -EBADF);
        close(fds[0]);
        close(fds[2]);
        fsrv_communication_free(&c);
        fsrv_process_unref(process);
}

int main(void) {
        expect(fsrv_server_new(NULL, &server, &error) == 0);
        much = malloc(MUCH);
        for (size_t i = 0; i < MUCH; i++)
                much[i] = (char)(i * 7 + i / 251);
        both_ways();
        limited();
        unread("head -c 10 >/dev/null");
        unread("exec <&-; echo no");
        unread("{ sleep 1000 <&7 >/dev/null 2>&1 & } 7<&0; echo $!"); /* it has the input, and reads nothing */
        again("echo here; exec sleep 1000", 0, 0);
        again("exec yes", 10, 0);
        again("sleep 1000 & echo $!; exit 3", 0, 1);
        wrong();
        fsrv_server_free(server);
        free(much);
        return 0;
}
