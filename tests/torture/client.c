/* SPDX-License-Identifier: MIT */
/*
 * client [OPTION…] MODULE: one client process of the torture: threads that spawn and check every status, until a byte comes on
 * standard input. Then it waits until its server is at rest and writes its report; at the end of its input it ends.
 *
 * Everything that happened is in the log, line by line, so that nothing is lost when the client is killed:
 *   S ITEM ASKED STARTED PID KIND N    spawned, N processes (times of CLOCK_MONOTONIC, ns)
 *   F ITEM ASKED FAILED STAGE ERRNO …  could not be spawned; of many: not all
 *   E ITEM ENDED right|wrong|lost|late TEXT
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <forkserver.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
        WINDOW = 8,             /* processes that a thread has at a time: they end in another order than it asks */
        THREADS_MAX = 64,
        BATCH = 6,              /* of one fsrv_spawn_many() */
        SPAWN_LIMIT_MS = 60000, /* what takes longer is a failure */
        WAIT_LIMIT_MS = 60000,
        REST_LIMIT_MS = 20000,
        BEGIN_LIMIT_MS = 10000,
};

static struct {
        unsigned id, threads, standbys;
        bool server_dies, cores;
        const char *log, *ran, *report, *shared_memory, *socket, *module;
} options = { .threads = 8, .standbys = 2 };

static struct fsrv_server *server;
static atomic_ulong next_item;
static atomic_bool over;
static int log_fd = -1;

static int64_t now_ns(void) {
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
        if (write(log_fd, line, (size_t)n) != n)
                _exit(3);
}

/* ---- one process ---- */

/* Those that are killed may not come to say that they run. */
static const char *const names[] = { "exits", "naps", "dies", "dumps", "killed", "limited", "program", "many", "classic" };
enum kind { EXITS, NAPS, DIES, DUMPS, IS_KILLED, IS_LIMITED, PROGRAM, MANY, CLASSIC };

struct item {
        unsigned long number;
        unsigned place; /* of its thread and window: nobody else is there at the same time */
        enum kind kind;
        int exit_code, signal;
        uint32_t flags; /* of the status */
        int n_processes;
        struct fsrv_process *processes[BATCH];
        int status_fd; /* of a classic call, instead of processes; -1 */
        int64_t pid;
};

static enum kind kind_of(unsigned long i) {
        if (i % 11 == 3)
                return DIES;
        if (i % 41 == 9)
                return IS_KILLED;
        /* Who keeps the limit is the server. */
        if (i % 43 == 11)
                return options.server_dies ? NAPS : IS_LIMITED;
        if (i % 97 == 5)
                return DUMPS;
        if (i % 37 == 6)
                return MANY;
        /* Its status goes with the server. */
        if (i % 19 == 4)
                return options.server_dies ? NAPS : CLASSIC;
        if (i % 17 == 2)
                return PROGRAM;
        return i % 13 == 7 ? NAPS : EXITS;
}

static struct item item_of(unsigned long i, unsigned place) {
        static const int signals[] = { SIGKILL, SIGSEGV, SIGTERM, SIGABRT, SIGUSR1 };
        struct item item = { .number = i, .place = place, .kind = kind_of(i), .exit_code = -1, .status_fd = -1 };

        switch (item.kind) {
        case EXITS:
        case NAPS:
        case PROGRAM:
        case MANY:
        case CLASSIC:
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
        static const char *const verbs[] = { "exit", "nap", "die", "dump", "hang", "hang", NULL, "exit", NULL };
        char entry[4096], number[16];

        /* One that outlives everybody who could end it does it itself: its server and its client may both be killed. */
        int value = item->exit_code >= 0 ? item->exit_code : item->signal;
        if (item->kind == IS_KILLED || item->kind == IS_LIMITED)
                value = options.server_dies ? 5 : 600;
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
                r = fsrv_request_set_time_limit(request, 30);
        return r < 0 ? fsrv_request_free(request) : request;
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
        int r = !request ? -ENOMEM
                : item->kind == MANY ? fsrv_spawn_many(server, request, BATCH, item->processes, error)
                                     : fsrv_spawn(server, request, item->processes, error);

        fsrv_request_free(request);
        if (r < 0)
                return r;
        item->n_processes = item->kind == MANY ? r : 1;
        item->pid = fsrv_process_get_pid(item->processes[0]);
        return item->kind == MANY && r < BATCH ? -error->err : 0;
}

static void spawn(struct item *item) {
        struct fsrv_error error = { 0 };
        char label[64];

        snprintf(label, sizeof label, "%u %lu", options.id, item->number);
        int64_t asked = now_ns();
        int r = item->kind == CLASSIC ? spawn_classic(item, label, &error) : spawn_requested(item, label, &error);
        int64_t then = now_ns();
        if (item->pid)
                note("S %lu %lld %lld %lld %s %d", item->number, (long long)asked, (long long)then, (long long)item->pid,
                     names[item->kind], item->kind == MANY ? item->n_processes : 1);
        if (r < 0) {
                note("F %lu %lld %lld %s %s %s", item->number, (long long)asked, (long long)then, fsrv_stage_name(error.stage),
                     strerrorname_np(-r), error.text);
                usleep(1000); /* there may be no server for a while */
        }
}

/* ---- its end ---- */

static bool is_right(const struct item *item, const struct fsrv_process *process, const struct fsrv_status *status) {
        uint32_t flags = status->flags & ~FSRV_STATUS_NO_RUSAGE;

        return status->pid == fsrv_process_get_pid(process) && status->exit_code == item->exit_code &&
               status->signal == item->signal && flags == item->flags;
}

static const char *wait_for(const struct item *item, struct fsrv_process *process, char ret_text[256]) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error = { 0 };
        int r = fsrv_process_wait(process, WAIT_LIMIT_MS, &status, &error);
        int pid = (int)fsrv_process_get_pid(process);

        ret_text[0] = 0;
        if (r == -EOWNERDEAD && error.stage == FSRV_STAGE_STATUS)
                return "lost";
        if (r < 0) {
                snprintf(ret_text, 256, "process %d: %s: %.200s", pid, strerrorname_np(-r), error.text);
                return "late";
        }
        if (is_right(item, process, &status))
                return "right";
        snprintf(ret_text, 256, "process %d: pid %d, exit code %d, signal %d, flags %#x instead of %d, %d, %#x", pid,
                 (int)status.pid, status.exit_code, status.signal, status.flags, item->exit_code, item->signal, item->flags);
        return "wrong";
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

/* The worst of a batch is what is told. */
static void check(struct item *item) {
        const char *outcome = "right", *one;
        char text[256] = "";

        if (item->kind == IS_KILLED && item->n_processes)
                fsrv_process_kill(item->processes[0], SIGTERM); /* only now, so that some are there when we are killed */
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
        *item = (struct item){ .status_fd = -1 };
}

/* A tenth of a second in four is quiet, so that standbys are found idle too. */
static void pace(void) {
        if (now_ns() / 100000000 % 4 == 3)
                usleep(5000);
}

static void *spawn_many(void *data) {
        unsigned first = *(unsigned *)data * WINDOW;
        struct item window[WINDOW];

        for (int k = 0; k < WINDOW; k++)
                window[k] = (struct item){ .status_fd = -1 };
        for (unsigned n = 0; !atomic_load(&over); n++) {
                struct item *item = &window[n % WINDOW];
                check(item);
                pace();
                *item = item_of(atomic_fetch_add(&next_item, 1), first + n % WINDOW);
                spawn(item);
        }
        for (int k = 0; k < WINDOW; k++)
                check(&window[k]);
        return NULL;
}

/* ---- what would be left behind ---- */

/* For the resource tracker to remove, unless we come to do it ourselves. */
static int make_shared_memory(void) {
        struct fsrv_error error = { 0 };

        if (fsrv_tracker_register(server, FSRV_RESOURCE_SHARED_MEMORY, options.shared_memory, &error) < 0) {
                fprintf(stderr, "client: %s\n", error.text);
                return -1;
        }
        int fd = shm_open(options.shared_memory, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        close(fd);
        return fd < 0 ? -1 : 0;
}

static void remove_shared_memory(void) {
        shm_unlink(options.shared_memory);
        fsrv_tracker_unregister(server, FSRV_RESOURCE_SHARED_MEMORY, options.shared_memory, NULL);
}

static int count_fds(void) {
        DIR *directory = opendir("/proc/self/fd");
        int n = 0;

        while (directory && readdir(directory))
                n++;
        if (directory)
                closedir(directory);
        return n;
}

/* ---- all of it ---- */

static struct fsrv_stats rest(void) {
        struct fsrv_stats stats = { .size = sizeof stats };

        for (int i = 0; i < REST_LIMIT_MS; i++) {
                if (fsrv_server_get_stats(server, &stats, NULL) == 0 && (options.socket || stats.workers == 0) &&
                    stats.standbys == options.standbys)
                        break;
                usleep(1000);
        }
        return stats;
}

/* Complete as soon as it is there. */
static void report(const struct fsrv_stats *stats) {
        char path[4096];

        snprintf(path, sizeof path, "%s.new", options.report);
        FILE *file = fopen(path, "we");
        if (!file)
                _exit(3);
        fprintf(file, "{\"server\":%d,\"workers\":%u,\"standbys\":%u,\"frozen\":%llu}\n", (int)stats->server_pid, stats->workers,
                stats->standbys, (unsigned long long)stats->memory_frozen);
        fclose(file);
        rename(path, options.report);
}

static void run(void) {
        pthread_t threads[THREADS_MAX];
        unsigned numbers[THREADS_MAX];
        char byte;

        for (unsigned i = 0; i < options.threads; i++) {
                numbers[i] = i;
                pthread_create(&threads[i], NULL, spawn_many, &numbers[i]);
        }
        while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR)
                ;
        atomic_store(&over, true);
        for (unsigned i = 0; i < options.threads; i++)
                pthread_join(threads[i], NULL);
        struct fsrv_stats stats = rest();
        report(&stats);
        while (read(STDIN_FILENO, &byte, 1) > 0)
                ;
}

static void read_options(int argc, char **argv) {
        static const struct option known[] = {
                { "id", 1, NULL, 'i' },     { "threads", 1, NULL, 't' }, { "standbys", 1, NULL, 's' },    { "log", 1, NULL, 'l' },
                { "ran", 1, NULL, 'r' },    { "report", 1, NULL, 'o' },  { "server-dies", 0, NULL, 'd' }, { "cores", 0, NULL, 'c' },
                { "socket", 1, NULL, 'p' }, { "shared-memory", 1, NULL, 'm' }, { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "", known, NULL)) != -1)
                switch (c) {
                case 'i': options.id = (unsigned)atoi(optarg); break;
                case 't': options.threads = (unsigned)atoi(optarg); break;
                case 's': options.standbys = (unsigned)atoi(optarg); break;
                case 'l': options.log = optarg; break;
                case 'r': options.ran = optarg; break;
                case 'o': options.report = optarg; break;
                case 'd': options.server_dies = true; break;
                case 'c': options.cores = true; break;
                case 'm': options.shared_memory = optarg; break;
                case 'p': options.socket = optarg; break;
                default: exit(2);
                }
        if (optind + 1 != argc || options.threads > THREADS_MAX || !options.log || !options.ran || !options.report ||
            !options.shared_memory)
                exit(2);
        options.module = argv[optind];
}

static int make_server(struct fsrv_error *error) {
        struct fsrv_server_options new = {
                .size = sizeof new, .preload = (const char *const[]){ options.module, NULL }, .preload_policy = FSRV_PRELOAD_FAIL,
                .standbys = options.standbys, .flags = FSRV_SERVER_TRACKER
        };

        if (options.socket)
                return fsrv_server_connect(options.socket, FSRV_UID_OWN, &server, error);
        int r = fsrv_server_new(&new, &server, error);
        return r < 0 ? r : fsrv_server_ensure_running(server, error);
}

int main(int argc, char **argv) {
        struct fsrv_error error = { 0 };

        read_options(argc, argv);
        signal(SIGPIPE, SIG_IGN);
        log_fd = open(options.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        int fds = count_fds();
        int r = log_fd < 0 ? -errno : make_server(&error);
        for (int i = 0; r < 0 && options.server_dies && i < BEGIN_LIMIT_MS; i++) {
                usleep(1000); /* it may have been killed just now */
                r = make_server(&error);
        }
        if (r < 0 || make_shared_memory() < 0) {
                fprintf(stderr, "client: cannot begin: %s\n", error.text);
                return 1;
        }
        run();
        remove_shared_memory();
        fsrv_server_free(server);
        return count_fds() == fds ? 0 : 4;
}
