/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "item.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Not in every version of the library. */
__attribute__((weak)) int fsrv_run(struct fsrv_server *, const struct fsrv_request *, struct fsrv_status *,
                                   struct fsrv_error *);
__attribute__((weak)) int fsrv_request_set_sandbox(struct fsrv_request *, struct fsrv_sandbox *);

enum {
        SPAWN_LIMIT_MS = 60000, /* what takes longer is a failure */
        WAIT_LIMIT_MS = 60000,
};

struct options options = { .threads = 8, .standbys = 2, .log_fd = -1 };
struct fsrv_server *server;
struct fsrv_sandbox *sandboxes[2];

int64_t now_ns(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* In one write, which an O_APPEND file takes as a whole. */
static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...) {
        char line[512];
        va_list args;

        va_start(args, format);
        int n = vsnprintf(line, sizeof line - 1, format, args);
        va_end(args);
        if (n > (int)sizeof line - 2)
                n = sizeof line - 2;
        line[n++] = '\n';
        if (write(options.log_fd, line, (size_t)n) != n)
                _exit(3);
}

/* ---- what it is ---- */

/* Those that are killed may not come to say that they run. */
static const char *const names[] = { "exits",   "naps",    "dies", "dumps",   "killed",
                                     "limited", "program", "many", "classic", "run" };

static enum kind kind_of(unsigned long i) {
        if (i % 11 == 3)
                return DIES;
        if (i % 41 == 9)
                return IS_KILLED;
        /* The server keeps the limit. */
        if (i % 43 == 11)
                return options.server_dies ? NAPS : IS_LIMITED;
        if (i % 97 == 5)
                return DUMPS;
        if (i % 37 == 6)
                return MANY;
        if (i % 23 == 8 && fsrv_run)
                return RUN;
        /* Its status goes with the server. */
        if (i % 19 == 4)
                return options.server_dies ? NAPS : CLASSIC;
        if (i % 17 == 2)
                return PROGRAM;
        return i % 13 == 7 ? NAPS : EXITS;
}

struct item item_of(unsigned long i, unsigned place) {
        static const int signals[] = { SIGKILL, SIGSEGV, SIGTERM, SIGABRT, SIGUSR1 };
        struct item item = { .number = i, .place = place, .kind = kind_of(i), .exit_code = -1, .status_fd = -1 };

        switch (item.kind) {
        case EXITS:
        case NAPS:
        case PROGRAM:
        case MANY:
        case CLASSIC:
        case RUN:
                item.exit_code = (int)(i % 200);
                break;
        case DIES:
                item.signal = signals[i / 11 % 5];
                break;
        case DUMPS:
                item.signal = i % 2 ? SIGSEGV : SIGABRT;
                item.flags = options.cores ? FSRV_STATUS_CORE_DUMPED : 0;
                break;
        case IS_KILLED:
                item.signal = SIGTERM;
                break;
        case IS_LIMITED:
                item.signal = SIGKILL;
                item.flags = FSRV_STATUS_TIMED_OUT;
                break;
        }
        return item;
}

static int set_entry(struct fsrv_request *request, const struct item *item, const char *label) {
        static const char *const verbs[] = { "exit", "nap", "die", "dump", "hang", "hang", NULL, "exit", NULL, "exit" };
        char entry[4096], number[16];

        /* Its server and its client may both be killed: then nothing is left that would end it, and it does it itself.
         */
        int value = item->exit_code >= 0 ? item->exit_code : item->signal;
        if (item->kind == IS_KILLED || item->kind == IS_LIMITED)
                value = options.server_dies;
        snprintf(entry, sizeof entry, "%s:act", options.module);
        snprintf(number, sizeof number, "%d", value);
        const char *argv[] = { "act", options.ran, label, verbs[item->kind], number, NULL };
        int r = fsrv_request_set_entry(request, entry);
        return r < 0 ? r : fsrv_request_set_argv(request, argv);
}

static int set_program(struct fsrv_request *request, const struct item *item, const char *label) {
        char number[16];

        snprintf(number, sizeof number, "%d", item->exit_code);
        const char *argv[] = { "sh", "-c", "echo \"$2\" >> \"$1\"; exit $3", "sh", options.ran, label, number, NULL };
        int r = fsrv_request_set_program(request, "/bin/sh");
        return r < 0 ? r : fsrv_request_set_argv(request, argv);
}

/* Of two that dump their core into one directory at once, one may not come to it. */
static int set_core_directory(struct fsrv_request *request, const struct item *item) {
        char path[64];

        snprintf(path, sizeof path, "core-%u-%u", options.id, item->place);
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
                return -errno;
        return fsrv_request_set_directory(request, path);
}

static struct fsrv_request *prepare(const struct item *item, const char *label) {
        struct fsrv_request *request;

        if (fsrv_request_new(&request) < 0)
                return NULL;
        int r = item->kind == PROGRAM ? set_program(request, item, label) : set_entry(request, item, label);
        if (r == 0)
                r = fsrv_request_set_spawn_timeout(request, SPAWN_LIMIT_MS);
        if (r == 0 && item->kind == DUMPS)
                r = set_core_directory(request, item);
        if (r == 0 && item->kind == IS_KILLED)
                r = fsrv_request_set_flags(request, FSRV_SPAWN_KILL_ON_CLOSE);
        if (r == 0 && item->kind == IS_LIMITED)
                r = fsrv_request_set_time_limit(request, 30, 0);
        /* One in three is in none. */
        if (r == 0 && options.sandboxes && item->number % 3)
                r = fsrv_request_set_sandbox(request, sandboxes[item->number % 3 - 1]);
        return r < 0 ? fsrv_request_free(request) : request;
}

static void note_started(const struct item *item, int64_t asked, int64_t then, int64_t pid, int n) {
        note("S %lu %lld %lld %lld %s %d", item->number, (long long)asked, (long long)then, (long long)pid,
             names[item->kind], n);
}

/* The classic call; what it is to do goes by way of its data fd. */
static int spawn_classic(struct item *item, const char *label, struct fsrv_error *error) {
        char entry[4096], words[4096];
        int data = -1, none = -1;

        snprintf(entry, sizeof entry, "%s:act_classic", options.module);
        int r = fsrv_server_connect_to_new_process(server, entry, &none, 0, &item->status_fd, &data, error);
        if (r < 0)
                return r;
        int n = snprintf(words, sizeof words, "%s\n%s\n%d\n", options.ran, label, item->exit_code);
        (void)!write(data, words, (size_t)n); /* less than a pipe holds; SIGPIPE is ignored */
        close(data);
        return fsrv_read_signed(item->status_fd, &item->pid);
}

static int spawn_requested(struct item *item, const char *label, struct fsrv_error *error) {
        struct fsrv_request *request = prepare(item, label);
        int r = !request             ? -ENOMEM
                : item->kind == MANY ? fsrv_spawn_many(server, request, BATCH, item->processes, error)
                                     : fsrv_spawn(server, request, item->processes, error);

        fsrv_request_free(request);
        if (r < 0)
                return r;
        item->n_processes = item->kind == MANY ? r : 1;
        item->pid = fsrv_process_get_pid(item->processes[0]);
        return item->kind == MANY && r < BATCH ? -error->err : 0;
}

/* ---- its end ---- */

static bool is_right(const struct item *item, pid_t pid, const struct fsrv_status *status) {
        uint32_t flags = status->flags & ~FSRV_STATUS_NO_RUSAGE;

        return status->pid == pid && status->exit_code == item->exit_code && status->signal == item->signal &&
               flags == item->flags;
}

/* What came of waiting. */
static const char *judge(const struct item *item, int r, pid_t pid, const struct fsrv_status *status,
                         const struct fsrv_error *error, char ret_text[256]) {
        ret_text[0] = 0;
        if (r == -EOWNERDEAD && error->stage == FSRV_STAGE_STATUS)
                return "lost";
        if (r < 0) {
                snprintf(ret_text, 256, "process %d: %s: %.200s", (int)pid, strerrorname_np(-r), error->text);
                return "late";
        }
        if (is_right(item, pid, status))
                return "right";
        snprintf(ret_text, 256, "process %d: pid %d, exit code %d, signal %d, flags %#x instead of %d, %d, %#x",
                 (int)pid, (int)status->pid, status->exit_code, status->signal, status->flags, item->exit_code,
                 item->signal, item->flags);
        return "wrong";
}

static const char *wait_for(const struct item *item, struct fsrv_process *process, char ret_text[256]) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error = { 0 };
        int r = fsrv_process_wait(process, WAIT_LIMIT_MS, &status, &error);

        return judge(item, r, fsrv_process_get_pid(process), &status, &error, ret_text);
}

static const char *read_status(const struct item *item, char ret_text[256]) {
        struct pollfd entry = { .fd = item->status_fd, .events = POLLIN };
        int64_t word = 0;

        snprintf(ret_text, 256, "process %lld: nothing on its status fd", (long long)item->pid);
        if (poll(&entry, 1, WAIT_LIMIT_MS) <= 0)
                return "late";
        int r = fsrv_read_signed(item->status_fd, &word);
        snprintf(ret_text, 256, "process %lld: the word %lld instead of %d (%d)", (long long)item->pid, (long long)word,
                 item->exit_code, r);
        return r == -ENODATA ? "lost" : r == 0 && word == item->exit_code ? "right" : "wrong";
}

/* ---- from the beginning ---- */

/* To its end: 0 if that is known, and judged. */
static int run(struct item *item, const char *label, struct fsrv_error *error) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_request *request = prepare(item, label);
        int64_t asked = now_ns();
        int r = request ? fsrv_run(server, request, &status, error) : -ENOMEM;
        char text[256];

        fsrv_request_free(request);
        if (r < 0 && error->stage != FSRV_STAGE_STATUS)
                return r;
        const char *outcome = judge(item, r, status.pid, &status, error, text);
        note_started(item, asked, now_ns(), status.pid, 1);
        note("E %lu %lld %s %s", item->number, (long long)now_ns(), outcome, text);
        return 0;
}

void item_spawn(struct item *item) {
        struct fsrv_error error = { 0 };
        char label[64];

        snprintf(label, sizeof label, "%u %lu", options.id, item->number);
        int64_t asked = now_ns();
        int r = item->kind == CLASSIC ? spawn_classic(item, label, &error)
                : item->kind == RUN   ? run(item, label, &error)
                                      : spawn_requested(item, label, &error);
        int64_t then = now_ns();
        if (item->pid)
                note_started(item, asked, then, item->pid, item->kind == MANY ? item->n_processes : 1);
        if (r < 0) {
                note("F %lu %lld %lld %s %s %s", item->number, (long long)asked, (long long)then,
                     fsrv_stage_name(error.stage), strerrorname_np(-r), error.text);
                usleep(1000); /* there may be no server for a while */
        }
}

void item_check(struct item *item) {
        const char *outcome = "right", *one;
        char text[256] = "";

        /* only now, so that some are there when we are killed */
        if (item->kind == IS_KILLED && item->n_processes)
                fsrv_process_kill(item->processes[0], SIGTERM);
        if (item->status_fd >= 0)
                outcome = read_status(item, text);
        for (int i = 0; i < item->n_processes; i++) {
                char what[256];
                if (strcmp(one = wait_for(item, item->processes[i], what), "right") != 0) {
                        outcome = one;
                        strcpy(text, what);
                }
                fsrv_process_unref(item->processes[i]);
        }
        if (item->status_fd >= 0)
                close(item->status_fd);
        if (item->pid)
                note("E %lu %lld %s %s", item->number, (long long)now_ns(), outcome, text);
        *item = (struct item)NO_ITEM;
}
