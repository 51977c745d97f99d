/* SPDX-License-Identifier: MIT */
/* The commands of `tracked`, a spawner for the resource tracker: on the default handle, until "new" makes another. */
#define _GNU_SOURCE
#include "spawner.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "words.h"

enum { PROCESSES_MAX = 64, THREADS_MAX = 16 };

static struct fsrv_server *server; /* NULL: the default one */
static struct fsrv_process *processes[PROCESSES_MAX];
static int n_processes, other_end = -1;

/* new [FLAGS [HELPERS]] */
static void do_new(int argc, char **argv) {
        struct fsrv_server_options options = { .size = sizeof options };

        options.flags = argc > 1 ? (uint32_t)atoi(argv[1]) : 0;
        options.helper_directory = argc > 2 ? argv[2] : NULL;
        say(fsrv_server_new(&options, &server, fresh_error()));
}

static void do_free(int argc, char **argv) {
        (void)argc;
        (void)argv;
        server = fsrv_server_free(server);
        fresh_error();
        say(0);
}

static const char *word(const char *given) {
        return strcmp(given, "NULL") == 0 ? NULL : given;
}

static void do_register(int argc, char **argv) {
        (void)argc;
        say(fsrv_tracker_register(server, word(argv[1]), word(argv[2]), fresh_error()));
}

static void do_unregister(int argc, char **argv) {
        (void)argc;
        say(fsrv_tracker_unregister(server, word(argv[1]), word(argv[2]), fresh_error()));
}

static void do_probe(int argc, char **argv) {
        (void)argc;
        (void)argv;
        say(fsrv_tracker_probe(server, fresh_error()));
}

/* The fd, and which file it is. */
static void do_get_fd(int argc, char **argv) {
        struct stat info = { 0 };
        int fd = fsrv_tracker_get_fd(server, fresh_error());

        (void)argc;
        (void)argv;
        fstat(fd, &info);
        say(fd);
        fprintf(answer, ",\"inode\":%llu", (unsigned long long)info.st_ino);
}

static void do_set_fd(int argc, char **argv) {
        (void)argc;
        say(fsrv_tracker_set_fd(server, atoi(argv[1]), fresh_error()));
}

/* A pipe that breaks when it is written to, and not before. */
static void do_shut(int argc, char **argv) {
        int ends[2];

        (void)argc;
        (void)argv;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 || shutdown(ends[1], SHUT_RD) < 0)
                abort();
        say(fsrv_tracker_set_fd(server, ends[0], fresh_error()));
        close(ends[0]);
        other_end = ends[1];
}

/* many N TYPE NAME: registers NAME-0 … NAME-N-1, stops at the first that fails; "done" says how many there are */
static void do_many(int argc, char **argv) {
        char name[300];
        int i, r = 0;

        (void)argc;
        for (i = 0; r == 0 && i < atoi(argv[1]); i++) {
                snprintf(name, sizeof name, "%s-%d", argv[3], i);
                r = fsrv_tracker_register(server, argv[2], name, fresh_error());
        }
        say(r);
        fprintf(answer, ",\"done\":%d", r < 0 ? i - 1 : i);
}

/* fork TYPE NAME: a child made by fork() registers it and ends; what its call returned */
static void do_fork(int argc, char **argv) {
        int status = 0;
        pid_t pid = fork();

        (void)argc;
        if (pid == 0)
                _exit(-fsrv_tracker_register(server, argv[1], argv[2], NULL));
        fresh_error();
        say(pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ? -ECHILD : -WEXITSTATUS(status));
}

static void *register_and_unregister(void *data) {
        const char *prefix = data;
        char name[64];
        intptr_t failed = 0;

        for (int i = 0; i < 1000; i++) {
                snprintf(name, sizeof name, "%s-%d", prefix, i);
                failed += fsrv_tracker_register(server, FSRV_RESOURCE_DUMMY, name, NULL) < 0;
                failed += fsrv_tracker_unregister(server, FSRV_RESOURCE_DUMMY, name, NULL) < 0;
        }
        return (void *)failed;
}

/* threads N: each registers and unregisters 1000 names; how many calls failed */
static void do_threads(int argc, char **argv) {
        pthread_t threads[THREADS_MAX];
        char prefixes[THREADS_MAX][16];
        int n = atoi(argv[1]), failed = 0;

        (void)argc;
        for (int i = 0; i < n && i < THREADS_MAX; i++) {
                snprintf(prefixes[i], sizeof prefixes[i], "t%d", i);
                if (pthread_create(&threads[i], NULL, register_and_unregister, prefixes[i]) != 0)
                        abort();
        }
        for (int i = 0; i < n && i < THREADS_MAX; i++) {
                void *one;
                pthread_join(threads[i], &one);
                failed += (int)(intptr_t)one;
        }
        fresh_error();
        say(failed);
}

/* ---- processes ---- */

static int spawn(struct fsrv_request *request, int ret_fds[3]) {
        struct fsrv_server *from = server;
        int r = from ? 0 : fsrv_server_default(&from, fresh_error());

        if (r < 0)
                return r;
        return fsrv_spawn_pipes(from, request, FSRV_PIPE_STDOUT, ret_fds, &processes[n_processes], fresh_error());
}

/* spawn entry|program NAME ARG…: its standard output comes back */
static void do_spawn(int argc, char **argv) {
        struct fsrv_request *request;
        int fds[3] = { -1, -1, -1 };

        (void)argc;
        if (fsrv_request_new(&request) < 0 || fsrv_request_set_argv(request, (const char *const *)argv + 2) < 0)
                abort();
        int r = strcmp(argv[1], "entry") == 0 ? fsrv_request_set_entry(request, argv[2])
                                              : fsrv_request_set_program(request, argv[2]);
        if (r == 0)
                r = spawn(request, fds);
        fsrv_request_free(request);
        say(r);
        if (r == 0)
                fprintf(answer, ",\"process\":%d,\"pid\":%d,\"fd\":%d", n_processes,
                        (int)fsrv_process_get_pid(processes[n_processes]), fds[1]);
        n_processes += r == 0 && n_processes < PROCESSES_MAX - 1;
}

/* The next line that comes out of an fd. */
static void do_line(int argc, char **argv) {
        char text[256];
        size_t n = 0;

        (void)argc;
        while (n < sizeof text && read(atoi(argv[1]), text + n, 1) == 1 && text[n] != '\n')
                n++;
        fresh_error();
        say(0);
        fputs(",\"text\":", answer);
        json_string(answer, text, n);
}

/* wait PROCESS: its exit code, or minus the signal, in "code" */
static void do_wait(int argc, char **argv) {
        struct fsrv_status status = { .size = sizeof status };
        int r = fsrv_process_wait(processes[atoi(argv[1])], 60000, &status, fresh_error());

        (void)argc;
        say(r);
        fprintf(answer, ",\"code\":%d", status.signal ? -status.signal : status.exit_code);
}

static void do_server(int argc, char **argv) {
        struct fsrv_stats stats = { .size = sizeof stats };
        struct fsrv_server *from = server;
        int r = from ? 0 : fsrv_server_default(&from, fresh_error());

        (void)argc;
        (void)argv;
        if (r == 0)
                r = fsrv_server_get_stats(from, &stats, fresh_error());
        say(r < 0 ? r : stats.server_pid);
        fprintf(answer, ",\"zygote\":%d,\"standbys\":%u", (int)stats.zygote_pid, stats.standbys);
}

static void do_end(int argc, char **argv) {
        (void)argc;
        (void)argv;
        for (int i = 0; i < n_processes; i++)
                fsrv_process_unref(processes[i]);
        fsrv_server_free(server);
        close(other_end);
}

const struct command api_commands[] = {
        { "new", 0, do_new },
        { "free", 0, do_free },
        { "register", 2, do_register },
        { "unregister", 2, do_unregister },
        { "probe", 0, do_probe },
        { "get_fd", 0, do_get_fd },
        { "set_fd", 1, do_set_fd },
        { "shut", 0, do_shut },
        { "many", 3, do_many },
        { "fork", 2, do_fork },
        { "threads", 1, do_threads },
        { "spawn", 2, do_spawn },
        { "line", 1, do_line },
        { "wait", 1, do_wait },
        { "server", 0, do_server },
        { "end", 0, do_end },
        { NULL, 0, NULL },
};

const struct command classic_commands[] = { { NULL, 0, NULL } };
