/* SPDX-License-Identifier: MIT */
/*
 * client [OPTION…] MODULE: one client process of the torture: threads that spawn and check every status, until a byte
 * comes on standard input. Then it waits until its server is at rest and writes its report; at the end of its input it
 * ends.
 *
 * Everything that happened is in the log, line by line, so that nothing is lost when the client is killed:
 *   S ITEM ASKED STARTED PID KIND N    spawned, N processes (times of CLOCK_MONOTONIC, ns)
 *   F ITEM ASKED FAILED STAGE ERRNO …  could not be spawned; of many: not all
 *   E ITEM ENDED right|wrong|lost|late TEXT
 */
#define _GNU_SOURCE
#include "item.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
        WINDOW = 8, /* processes that a thread has at a time: they end in another order than it asks */
        THREADS_MAX = 64,
        REST_LIMIT_MS = 20000,
        BEGIN_LIMIT_MS = 10000,
};

static atomic_ulong next_item;
static atomic_bool over;

/* A tenth of a second in four is quiet, so that standbys are found idle too. */
static void pace(void) {
        if (now_ns() / 100000000 % 4 == 3)
                usleep(5000);
}

static void *spawn_many(void *data) {
        unsigned first = *(unsigned *)data * WINDOW;
        struct item window[WINDOW];

        for (int k = 0; k < WINDOW; k++)
                window[k] = (struct item)NO_ITEM;
        for (unsigned n = 0; !atomic_load(&over); n++) {
                struct item *item = &window[n % WINDOW];
                item_check(item);
                pace();
                *item = item_of(atomic_fetch_add(&next_item, 1), first + n % WINDOW);
                item_spawn(item);
        }
        for (int k = 0; k < WINDOW; k++)
                item_check(&window[k]);
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

/* Each zygote has as many. */
static bool has_standbys(const struct fsrv_stats *stats) {
        unsigned zygotes = stats->standbys / options.standbys;

        return stats->standbys % options.standbys == 0 && zygotes >= 1 && zygotes <= (options.sandboxes ? 3 : 1);
}

static struct fsrv_stats rest(void) {
        struct fsrv_stats stats = { .size = sizeof stats };

        for (int i = 0; i < REST_LIMIT_MS; i++) {
                if (fsrv_server_get_stats(server, &stats, NULL) == 0 && (options.socket || stats.workers == 0) &&
                    has_standbys(&stats))
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
        fprintf(file, "{\"server\":%d,\"workers\":%u,\"standbys\":%u,\"frozen\":%llu,\"why_not\":\"%s\"}\n",
                (int)stats->server_pid, stats->workers, stats->standbys, (unsigned long long)stats->memory_frozen,
                stats->memory_why);
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
                { "id", 1, NULL, 'i' },          { "threads", 1, NULL, 't' },       { "standbys", 1, NULL, 's' },
                { "log", 1, NULL, 'l' },         { "ran", 1, NULL, 'r' },           { "report", 1, NULL, 'o' },
                { "server-dies", 0, NULL, 'd' }, { "cores", 0, NULL, 'c' },         { "sandboxes", 0, NULL, 'b' },
                { "socket", 1, NULL, 'p' },      { "shared-memory", 1, NULL, 'm' }, { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "", known, NULL)) != -1)
                switch (c) {
                case 'i':
                        options.id = (unsigned)atoi(optarg);
                        break;
                case 't':
                        options.threads = (unsigned)atoi(optarg);
                        break;
                case 's':
                        options.standbys = (unsigned)atoi(optarg);
                        break;
                case 'l':
                        options.log = optarg;
                        break;
                case 'r':
                        options.ran = optarg;
                        break;
                case 'o':
                        options.report = optarg;
                        break;
                case 'd':
                        options.server_dies = true;
                        break;
                case 'c':
                        options.cores = true;
                        break;
                case 'b':
                        options.sandboxes = true;
                        break;
                case 'm':
                        options.shared_memory = optarg;
                        break;
                case 'p':
                        options.socket = optarg;
                        break;
                default:
                        exit(2);
                }
        if (optind + 1 != argc || options.threads > THREADS_MAX || !options.log || !options.ran || !options.report ||
            !options.shared_memory)
                exit(2);
        options.module = argv[optind];
}

/* Two that differ, and in which every kind of item ends as it does outside. */
static int make_sandboxes(struct fsrv_error *error) {
        static const char *const profiles[] = { "no-network", "none" };
        int r = 0;

        for (int i = 0; r == 0 && i < 2; i++)
                if ((r = fsrv_sandbox_new(profiles[i], &sandboxes[i], error)) == 0)
                        r = fsrv_sandbox_seal(sandboxes[i], NULL, NULL, error);
        return r;
}

static int make_server(struct fsrv_error *error) {
        struct fsrv_server_options new = { .size = sizeof new,
                                           .preload = (const char *const[]){ options.module, NULL },
                                           .preload_policy = FSRV_PRELOAD_FAIL,
                                           .standbys = options.standbys,
                                           .flags = FSRV_SERVER_TRACKER };

        if (options.socket)
                return fsrv_server_connect(options.socket, FSRV_UID_OWN, &server, error);
        int r = fsrv_server_new(&new, &server, error);
        return r < 0 ? r : fsrv_server_ensure_running(server, error);
}

int main(int argc, char **argv) {
        struct fsrv_error error = { 0 };

        read_options(argc, argv);
        signal(SIGPIPE, SIG_IGN);
        options.log_fd = open(options.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        int fds = count_fds();
        int r = options.log_fd < 0 ? -errno : make_server(&error);
        for (int i = 0; r < 0 && options.server_dies && i < BEGIN_LIMIT_MS; i++) {
                usleep(1000); /* it may have been killed just now */
                r = make_server(&error);
        }
        if (r == 0 && options.sandboxes)
                r = make_sandboxes(&error);
        if (r < 0 || make_shared_memory() < 0) {
                fprintf(stderr, "client: cannot begin: %s\n", error.text);
                return 1;
        }
        run();
        remove_shared_memory();
        for (int i = 0; options.sandboxes && i < 2; i++)
                fsrv_sandbox_unref(sandboxes[i]);
        fsrv_server_free(server);
        return count_fds() == fds ? 0 : 4;
}
