/* SPDX-License-Identifier: MIT */
/* The commands that are calls of the library. One server, one request, any number of processes. */
#define _GNU_SOURCE
#include "spawner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

enum { PROCESSES_MAX = 65536 };

static struct fsrv_server *server;
static struct fsrv_request *request;
static struct fsrv_process *processes[PROCESSES_MAX];
static int n_processes;

/* ---- servers ---- */

static bool read_option(struct fsrv_server_options *options, const char *name, const char *value) {
        if (strcmp(name, "policy") == 0)
                options->preload_policy = (uint32_t)atoi(value);
        else if (strcmp(name, "threads") == 0)
                options->thread_policy = (uint32_t)atoi(value);
        else if (strcmp(name, "standbys") == 0)
                options->standbys = (uint32_t)atoi(value);
        else if (strcmp(name, "preload_timeout") == 0)
                options->preload_timeout_ms = atoi(value);
        else if (strcmp(name, "flags") == 0)
                options->flags = (uint32_t)atoi(value);
        else if (strcmp(name, "helpers") == 0)
                options->helper_directory = value;
        else if (strcmp(name, "memory") == 0)
                options->memory = (uint32_t)atoi(value);
        else if (strcmp(name, "size") == 0)
                options->size = (size_t)atoi(value);
        else
                return false;
        return true;
}

/* new [NAME VALUE]… [preload MODULE…]; new default: no options at all */
static void do_new(int argc, char **argv) {
        struct fsrv_server_options options = { .size = sizeof options };
        int i = 1;

        for (; i + 1 < argc && read_option(&options, argv[i], argv[i + 1]); i += 2)
                ;
        if (i < argc && strcmp(argv[i], "preload") == 0)
                options.preload = (const char *const *)argv + i + 1;
        bool none = i < argc && strcmp(argv[i], "default") == 0;
        say(fsrv_server_new(none ? NULL : &options, &server, fresh_error()));
}

static void do_connect(int argc, char **argv) {
        uid_t uid = argc > 2 ? (uid_t)atoi(argv[2]) : FSRV_UID_OWN;

        say(fsrv_server_connect(argv[1], uid, &server, fresh_error()));
}

static void do_inherit(int argc, char **argv) {
        struct fsrv_server *other;

        (void)argc;
        (void)argv;
        say(fsrv_server_inherit(&other, fresh_error()));
}

static void do_ensure(int argc, char **argv) {
        (void)argc;
        (void)argv;
        say(fsrv_server_ensure_running(server, fresh_error()));
}

static void do_ready(int argc, char **argv) {
        (void)argc;
        say(fsrv_server_wait_ready(server, atoi(argv[1]), fresh_error()));
}

static void do_set_preload(int argc, char **argv) {
        (void)argc;
        say(fsrv_server_set_preload(server, (const char *const *)argv + 2, (uint32_t)atoi(argv[1]), fresh_error()));
}

static void do_stop(int argc, char **argv) {
        (void)argc;
        say(fsrv_server_stop(server, atoi(argv[1]), fresh_error()));
}

static void do_free(int argc, char **argv) {
        (void)argc;
        (void)argv;
        server = fsrv_server_free(server);
        say(server ? -EINVAL : 0);
}

static void do_stats(int argc, char **argv) {
        struct fsrv_stats stats = { .size = argc > 1 ? (size_t)atoi(argv[1]) : sizeof stats };
        int r = fsrv_server_get_stats(server, &stats, fresh_error());

        (void)argv;
        say(r);
        if (r < 0)
                return;
        fprintf(answer,
                ",\"server_pid\":%d,\"zygote_pid\":%d,\"uptime_ms\":%llu,\"spawns\":%llu,\"claims\":%llu,"
                "\"exits\":%llu,\"zygote_starts\":%llu,\"zygote_restarts\":%llu,\"malformed\":%llu,\"workers\":%u,"
                "\"standbys\":%u,\"failures\":{",
                (int)stats.server_pid, (int)stats.zygote_pid, (unsigned long long)stats.uptime_ms,
                (unsigned long long)stats.spawns, (unsigned long long)stats.claims, (unsigned long long)stats.exits,
                (unsigned long long)stats.zygote_starts, (unsigned long long)stats.zygote_restarts,
                (unsigned long long)stats.malformed, stats.workers, stats.standbys);
        const char *comma = "";
        for (uint32_t i = 0; i < FSRV_STAGE_COUNT; i++)
                if (stats.failures[i]) {
                        fprintf(answer, "%s\"%s\":%llu", comma, fsrv_stage_name(i),
                                (unsigned long long)stats.failures[i]);
                        comma = ",";
                }
        fputs("},\"signals\":{", answer);
        comma = "";
        for (size_t i = 0; i < sizeof stats.signals / sizeof *stats.signals; i++)
                if (stats.signals[i]) {
                        fprintf(answer, "%s\"%zu\":%llu", comma, i, (unsigned long long)stats.signals[i]);
                        comma = ",";
                }
        fputs("}", answer);
}

/* ---- requests ---- */

static void do_request(int argc, char **argv) {
        (void)argc;
        (void)argv;
        fsrv_request_free(request);
        request = NULL;
        fresh_error();
        int r = fsrv_request_new(&request);
        if (r == 0 && sandbox_of_requests)
                r = fsrv_request_set_sandbox(request, sandbox_of_requests);
        say(r);
}

struct fsrv_request *current_request(void) {
        return request;
}

static sigset_t read_signals(char **words) {
        sigset_t set;

        sigemptyset(&set);
        for (; *words; words++)
                sigaddset(&set, atoi(*words));
        return set;
}

static uint64_t limit_ms; /* "grace" is said after it */

static int set_number(const char *name, long long value) {
        if (strcmp(name, "umask") == 0)
                return fsrv_request_set_umask(request, (mode_t)value);
        if (strcmp(name, "group") == 0)
                return fsrv_request_set_process_group(request, (pid_t)value);
        if (strcmp(name, "session") == 0)
                return fsrv_request_set_session(request);
        if (strcmp(name, "fd") == 0)
                return fsrv_request_add_fd(request, (int)value);
        if (strcmp(name, "close_fd") == 0)
                return fsrv_request_add_close(request, (int)value);
        if (strcmp(name, "spawn_timeout") == 0)
                return fsrv_request_set_spawn_timeout(request, (int)value);
        if (strcmp(name, "time_limit") == 0) {
                limit_ms = (uint64_t)value;
                return fsrv_request_set_time_limit(request, limit_ms, 0);
        }
        if (strcmp(name, "grace") == 0)
                return fsrv_request_set_time_limit(request, limit_ms, (uint64_t)value);
        if (strcmp(name, "flags") == 0)
                return fsrv_request_set_flags(request, (uint32_t)value);
        fprintf(stderr, "spawner: no attribute '%s'\n", name);
        exit(2);
}

static char *payload; /* the request borrows it */

/* The word as often as said. */
static int set_payload(const char *word, size_t times) {
        size_t n = strlen(word);

        free(payload);
        payload = malloc(n * times + 1);
        for (size_t i = 0; payload && i < times; i++)
                memcpy(payload + i * n, word, n);
        return payload ? fsrv_request_set_payload(request, payload, n * times) : -ENOMEM;
}

/* Made once each: a server has a zygote for each sandbox, known by what it says. "": none. */
static int set_sandbox(const char *profile, uint32_t flags) {
        struct fsrv_error *error = fresh_error();
        struct fsrv_sandbox *sandbox;

        if (!profile[0])
                return fsrv_request_set_sandbox(request, NULL);
        int r = fsrv_sandbox_new(profile, &sandbox, error);
        if (r < 0)
                return r;
        if ((r = fsrv_sandbox_set_flags(sandbox, flags)) == 0 &&
            (r = fsrv_sandbox_seal(sandbox, NULL, NULL, error)) == 0)
                r = fsrv_request_set_sandbox(request, sandbox);
        fsrv_sandbox_unref(sandbox);
        return r;
}

/* set NAME WORD… */
static void do_set(int argc, char **argv) {
        const char *name = argv[1], *word = argc > 2 ? argv[2] : "";
        const char *const *list = (const char *const *)argv + 2;
        sigset_t set = read_signals(strncmp(name, "signal", 6) == 0 ? argv + 2 : argv + argc);
        int r;

        fresh_error();
        if (strcmp(name, "clear_actions") == 0) {
                fsrv_request_clear_actions(request);
                r = 0;
        } else if (strcmp(name, "entry") == 0)
                r = fsrv_request_set_entry(request, word);
        else if (strcmp(name, "program") == 0)
                r = fsrv_request_set_program(request, word);
        else if (strcmp(name, "argv") == 0)
                r = fsrv_request_set_argv(request, list);
        else if (strcmp(name, "environment") == 0)
                r = fsrv_request_set_environment(request, list);
        else if (strcmp(name, "directory") == 0)
                r = fsrv_request_set_directory(request, word);
        else if (strcmp(name, "signal_mask") == 0)
                r = fsrv_request_set_signal_mask(request, &set);
        else if (strcmp(name, "signals_ignored") == 0)
                r = fsrv_request_set_signals_ignored(request, &set);
        else if (strcmp(name, "sandbox") == 0)
                r = set_sandbox(word, argc > 3 ? (uint32_t)atoi(argv[3]) : 0);
        else if (strcmp(name, "payload") == 0 && argc == 4)
                r = set_payload(word, (size_t)atoi(argv[3]));
        else if (strcmp(name, "dup2") == 0 && argc == 4)
                r = fsrv_request_add_dup2(request, atoi(word), atoi(argv[3]));
        else if (strcmp(name, "open") == 0 && argc == 6)
                r = fsrv_request_add_open(request, atoi(word), argv[3], atoi(argv[4]), (mode_t)atoi(argv[5]));
        else
                r = set_number(name, atoll(word));
        say(r);
}

/* ---- processes ---- */

static void add(int r, struct fsrv_process *process) {
        say(r);
        if (r < 0)
                return;
        processes[n_processes++] = process;
        fprintf(answer, ",\"process\":%d,\"pid\":%d", n_processes - 1, (int)fsrv_process_get_pid(process));
}

static void do_spawn(int argc, char **argv) {
        struct fsrv_process *process = NULL;

        (void)argc;
        (void)argv;
        int r = fsrv_spawn(server, request, &process, fresh_error());
        add(r, process);
}

/* spawn_many N: the processes, and why there are fewer */
static void do_spawn_many(int argc, char **argv) {
        size_t n = strtoul(argv[1], NULL, 10);
        struct fsrv_process **made = calloc(n + 1, sizeof *made);
        struct fsrv_error why = { 0 };
        int r = fsrv_spawn_many(server, request, n, made, &why);

        (void)argc;
        fresh_error();
        say(r);
        fprintf(answer, ",\"why\":");
        json_string(answer, why.text, strnlen(why.text, sizeof why.text));
        fprintf(answer, ",\"why_stage\":\"%s\",\"first\":%d,\"pids\":[", fsrv_stage_name(why.stage), n_processes);
        for (int i = 0; i < r; i++) {
                fprintf(answer, "%s%d", i ? "," : "", (int)fsrv_process_get_pid(made[i]));
                processes[n_processes++] = made[i];
        }
        fputc(']', answer);
        free(made);
}

static void do_spawn_pipes(int argc, char **argv) {
        struct fsrv_process *process = NULL;
        int fds[3] = { -7, -7, -7 };

        (void)argc;
        int r = fsrv_spawn_pipes(server, request, (uint32_t)atoi(argv[1]), fds, &process, fresh_error());
        add(r, process);
        fprintf(answer, ",\"fds\":[%d,%d,%d]", fds[0], fds[1], fds[2]);
}

static struct fsrv_process *named(const char *word) {
        int i = atoi(word);

        if (i < 0 || i >= n_processes || !processes[i]) {
                fprintf(stderr, "spawner: no process %s\n", word);
                exit(2);
        }
        return processes[i];
}

static void say_status(const struct fsrv_status *status) {
        const struct timeval *user = &status->rusage.ru_utime, *system = &status->rusage.ru_stime;

        fprintf(answer,
                ",\"pid\":%d,\"exit_code\":%d,\"signal\":%d,\"flags\":%u,\"cpu_us\":%lld,\"maxrss\":%ld"
                ",\"refused\":%u,\"refused_call\":\"%s\"",
                (int)status->pid, status->exit_code, status->signal, status->flags,
                (user->tv_sec + system->tv_sec) * 1000000LL + user->tv_usec + system->tv_usec, status->rusage.ru_maxrss,
                status->refused, fsrv_syscall_name(status->refused_call));
}

static void do_wait(int argc, char **argv) {
        struct fsrv_status status = { .size = argc > 3 ? (size_t)atoi(argv[3]) : sizeof status };
        int r = fsrv_process_wait(named(argv[1]), atoi(argv[2]), &status, fresh_error());

        say(r);
        if (r >= 0)
                say_status(&status);
}

/* run [SIZE]: the request to its end */
static void do_run(int argc, char **argv) {
        struct fsrv_status status = { .size = argc > 1 ? (size_t)atoi(argv[1]) : sizeof status };
        int r = fsrv_run(server, request, &status, fresh_error());

        say(r);
        if (r == 0)
                say_status(&status);
}

static void do_run_null(int argc, char **argv) {
        (void)argc;
        (void)argv;
        say(fsrv_run(server, request, NULL, NULL));
}

static void do_wait_null(int argc, char **argv) {
        (void)argc;
        say(fsrv_process_wait(named(argv[1]), atoi(argv[2]), NULL, NULL));
}

/* An event loop: polls the one fd, looks without waiting, until the end or the limit in ms. */
static void do_loop(int argc, char **argv) {
        struct fsrv_process *process = named(argv[1]);
        struct fsrv_status status = { .size = sizeof status };
        struct pollfd entry = { .fd = fsrv_process_get_poll_fd(process), .events = POLLIN };
        int wakeups = 0, r = entry.fd < 0 ? entry.fd : -ETIMEDOUT;

        (void)argc;
        while (r == -ETIMEDOUT && poll(&entry, 1, atoi(argv[2])) > 0) {
                wakeups++;
                r = fsrv_process_wait(process, 0, &status, fresh_error());
        }
        say(r);
        if (r == 0)
                say_status(&status);
        fprintf(answer, ",\"wakeups\":%d", wakeups);
}

static void do_poll_fd(int argc, char **argv) {
        struct pollfd entry = { .fd = fsrv_process_get_poll_fd(named(argv[1])), .events = POLLIN };

        (void)argc;
        fresh_error();
        say_own(entry.fd < 0 ? entry.fd : poll(&entry, 1, atoi(argv[2])));
}

static void do_pidfd(int argc, char **argv) {
        struct pollfd entry = { .fd = fsrv_process_get_pidfd(named(argv[1])), .events = POLLIN };

        (void)argc;
        fresh_error();
        say_own(entry.fd < 0 ? entry.fd : poll(&entry, 1, atoi(argv[2])));
}

static void do_kill(int argc, char **argv) {
        (void)argc;
        fresh_error();
        say(fsrv_process_kill(named(argv[1]), atoi(argv[2])));
}

static void do_kill_group(int argc, char **argv) {
        (void)argc;
        fresh_error();
        say(fsrv_process_kill_group(named(argv[1]), atoi(argv[2])));
}

static void do_ref(int argc, char **argv) {
        (void)argc;
        fresh_error();
        processes[n_processes] = fsrv_process_ref(named(argv[1]));
        say(n_processes++);
}

static void do_unref(int argc, char **argv) {
        struct fsrv_process *process = named(argv[1]);

        (void)argc;
        fresh_error();
        processes[atoi(argv[1])] = NULL;
        say(fsrv_process_unref(process) ? -EINVAL : 0);
}

static void do_end(int argc, char **argv) {
        (void)argc;
        (void)argv;
        for (int i = 0; i < n_processes; i++)
                fsrv_process_unref(processes[i]);
        fsrv_request_free(request);
        fsrv_sandbox_unref(sandbox_of_requests);
        free(payload);
        fsrv_server_free(server);
}

/* What needs no server: each has to be harmless. */
static void do_nulls(int argc, char **argv) {
        int fd_count = -1;
        uid_t uid = 12345;
        pid_t pid = 12345;
        size_t n = 12345;
        const int *fds = &fd_count;

        (void)argc;
        (void)argv;
        fresh_error();
        bool good = !fsrv_server_free(NULL) && !fsrv_request_free(NULL) && !fsrv_process_unref(NULL) &&
                    fsrv_worker_get_lifeline() == -ENOENT && fsrv_worker_get_fds(&fds, &n) == -ENOENT &&
                    fsrv_worker_get_client(&pid, &uid) == -ENOENT && fds == &fd_count && n == 12345 && pid == 12345 &&
                    uid == 12345 && strcmp(fsrv_version(), FSRV_VERSION) == 0 &&
                    strcmp(fsrv_stage_name(FSRV_STAGE_EXEC), "exec") == 0 &&
                    strcmp(fsrv_stage_name(99), "unknown") == 0;
        say(good ? 0 : -EINVAL);
}

const struct command api_commands[] = {
        { "new", 0, do_new },
        { "connect", 1, do_connect },
        { "inherit", 0, do_inherit },
        { "ensure", 0, do_ensure },
        { "ready", 1, do_ready },
        { "set_preload", 1, do_set_preload },
        { "stop", 1, do_stop },
        { "free", 0, do_free },
        { "stats", 0, do_stats },
        { "request", 0, do_request },
        { "set_sandbox", 0, do_set_sandbox },
        { "set", 1, do_set },
        { "attributes", 0, do_attributes },
        { "spawn", 0, do_spawn },
        { "spawn_many", 1, do_spawn_many },
        { "spawn_pipes", 1, do_spawn_pipes },
        { "wait", 2, do_wait },
        { "wait_null", 2, do_wait_null },
        { "run", 0, do_run },
        { "run_null", 0, do_run_null },
        { "loop", 2, do_loop },
        { "poll_fd", 2, do_poll_fd },
        { "pidfd", 2, do_pidfd },
        { "kill", 2, do_kill },
        { "kill_group", 2, do_kill_group },
        { "ref", 1, do_ref },
        { "unref", 1, do_unref },
        { "nulls", 0, do_nulls },
        { "end", 0, do_end },
        { NULL, 0, NULL },
};
