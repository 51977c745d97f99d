/* SPDX-License-Identifier: MIT */
/* interrupt FILE: requests to a server that is stopped, and that the caller withdraws. Writes to FILE by processes. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <forkserver.h>

enum { LIMIT_MS = 10000 }; /* long after which a call that nobody ends has failed */

static struct fsrv_server *server;
static volatile sig_atomic_t n_signals;
static int n_checks, enough; /* checks until the call is to end */

static void on_alarm(int number) {
        (void)number;
        n_signals++;
}

/* Ends the call at the first signal, or after enough checks. */
static int check(void *data) {
        (void)data;
        n_checks++;
        return n_signals > 0 || n_checks == enough;
}

static void fail(const char *what, int r, const struct fsrv_error *error) {
        fprintf(stderr, "interrupt: %s: %d: %s\n", what, r, error->text);
        exit(1);
}

/* Sends a signal to the server and all of its children. */
static void signal_all(pid_t pid, int number) {
        char path[64], text[4096] = "";

        snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
        FILE *file = fopen(path, "r");
        if (!file)
                exit(77);
        if (!fgets(text, sizeof text, file))
                text[0] = 0;
        fclose(file);
        kill(pid, number);
        for (char *at = text; *at; at += strspn(at, " "))
                kill((pid_t)strtol(at, &at, 10), number);
}

static int spawn(const char *file, const char *word, struct fsrv_error *error) {
        struct fsrv_request *request;
        struct fsrv_process *process;
        char command[4200];

        snprintf(command, sizeof command, "echo %s >>'%s'", word, file);
        if (fsrv_request_new(&request) < 0 || fsrv_request_set_program(request, "/bin/sh") < 0 ||
            fsrv_request_set_argv(request, (const char *const[]){ "sh", "-c", command, NULL }) < 0)
                exit(1);
        fsrv_request_set_spawn_timeout(request, LIMIT_MS);
        int r = fsrv_spawn(server, request, &process, error);
        fsrv_request_free(request);
        if (r == 0) {
                r = fsrv_process_wait(process, -1, NULL, error);
                fsrv_process_unref(process);
        }
        return r;
}

static void await_standbys(pid_t *ret_server) {
        struct fsrv_stats stats = { .size = sizeof stats };
        struct fsrv_error error = { 0 };

        do {
                int r = fsrv_server_get_stats(server, &stats, &error);
                if (r < 0)
                        fail("statistics", r, &error);
                nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
        } while (stats.standbys < 4);
        *ret_server = stats.server_pid;
}

int main(int argc, char **argv) {
        struct itimerval soon = { .it_value.tv_usec = 20000 };
        struct sigaction action = { .sa_handler = on_alarm };
        struct fsrv_error error = { 0 };
        pid_t pid;

        if (argc != 2 || fsrv_server_new(NULL, &server, &error) < 0)
                return 1;
        int r = spawn(argv[1], "before", &error);
        if (r < 0)
                fail("a process", r, &error);
        sigaction(SIGALRM, &action, NULL);
        await_standbys(&pid);
        signal_all(pid, SIGSTOP);
        fsrv_server_set_interrupt(server, check, NULL);
        enough = 3;
        r = spawn(argv[1], "withdrawn", &error);
        printf("{\"result\": %d, \"stage\": \"%s\", \"checks\": %d, ", r, fsrv_stage_name(error.stage), n_checks);
        n_checks = enough = 0;
        setitimer(ITIMER_REAL, &soon, NULL);
        r = spawn(argv[1], "interrupted", &error);
        printf("\"by_signal\": %d, \"signals\": %d, ", r, (int)n_signals);
        struct fsrv_stats stats = { .size = sizeof stats };
        printf("\"stats\": %d, ", fsrv_server_get_stats(server, &stats, &error));
        printf("\"stop\": %d, ", fsrv_server_stop(server, 20000, &error));
        fsrv_server_set_interrupt(server, NULL, NULL);
        signal_all(pid, SIGCONT);
        r = spawn(argv[1], "after", &error);
        printf("\"after\": %d}\n", r);
        fsrv_server_free(server);
        return r < 0;
}
