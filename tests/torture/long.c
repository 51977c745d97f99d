/* SPDX-License-Identifier: MIT */
/*
 * long --spawns N [--threads T] MODULE: N spawns from one server, every status checked; what server and zygote hold at
 * the start, in the middle and at the end; how long a spawn takes at the start and at the end. Prints JSON.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../programs/check.h"

enum { WINDOW = 4, THREADS_MAX = 64, STANDBYS = 2, WARM_UP = 2000, TIMED = 1000, REST_LIMIT_MS = 20000 };

static struct {
        unsigned threads;
        unsigned long spawns;
        const char *module;
} options = { .threads = 8 };

static struct fsrv_server *server;
static struct tally tally = TALLY_INITIALIZER;
static atomic_ulong next_item, last_item;

static void *spawn_many(void *data) {
        struct item window[WINDOW] = { 0 };
        unsigned long i;

        for (unsigned n = 0; (i = atomic_fetch_add(&next_item, 1)) < atomic_load(&last_item); n++) {
                struct item *item = &window[n % WINDOW];
                if (item->process)
                        item_check(item, &tally);
                item_spawn(server, options.module, i, item, &tally);
        }
        for (int k = 0; k < WINDOW; k++)
                if (window[k].process)
                        item_check(&window[k], &tally);
        return data;
}

static void run(unsigned long n) {
        static unsigned long done;
        pthread_t threads[THREADS_MAX];

        atomic_store(&next_item, done);
        atomic_store(&last_item, done += n);
        for (unsigned i = 0; i < options.threads; i++)
                pthread_create(&threads[i], NULL, spawn_many, NULL);
        for (unsigned i = 0; i < options.threads; i++)
                pthread_join(threads[i], NULL);
}

/* ---- latency: of one at a time, to its status ---- */

static int compare(const void *a, const void *b) {
        return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double now_us(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double time_one(struct fsrv_server *from) {
        struct item item = { 0 };
        double start = now_us();

        if (item_spawn(from, options.module, 0, &item, &tally))
                item_check(&item, &tally);
        return now_us() - start;
}

static void print_latency(const char *name, double *took) {
        qsort(took, TIMED, sizeof *took, compare);
        printf(",\"%s\":{\"median_us\":%.1f,\"p99_us\":%.1f}", name, took[TIMED / 2], took[TIMED * 99 / 100]);
}

/* By turns with another server, which is new: the machine may be busier at the end than at the start. */
static void measure_latency(const char *name, struct fsrv_server *fresh, const char *fresh_name) {
        static double took[TIMED], fresh_took[TIMED];

        for (unsigned long i = 0; i < TIMED; i++) {
                took[i] = time_one(server);
                if (fresh)
                        fresh_took[i] = time_one(fresh);
        }
        print_latency(name, took);
        if (fresh)
                print_latency(fresh_name, fresh_took);
}

/* ---- what a process holds ---- */

static int count_fds_now(pid_t pid) {
        char path[64];
        int n = 0;

        snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
        DIR *directory = opendir(path);
        for (struct dirent *entry; directory && (entry = readdir(directory));)
                n += entry->d_name[0] != '.';
        if (directory)
                closedir(directory);
        return n;
}

/* The least of some time: the connection by which we ask for statistics may not be closed yet on the other side. */
static int count_fds(pid_t pid) {
        int least = count_fds_now(pid);

        for (int i = 0; i < 50; i++) {
                usleep(1000);
                int n = count_fds_now(pid);
                least = n < least ? n : least;
        }
        return least;
}

static long rss_kib(pid_t pid) {
        char path[64], line[256];
        long kib = -1;

        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        FILE *file = fopen(path, "re");
        while (file && fgets(line, sizeof line, file))
                if (sscanf(line, "VmRSS: %ld", &kib) == 1)
                        break;
        if (file)
                fclose(file);
        return kib;
}

/* Of the server's children: zombies too, which nobody has reaped. */
static int count_children(pid_t pid) {
        char path[64];
        int n = 0, child;

        snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
        FILE *file = fopen(path, "re");
        while (file && fscanf(file, "%d", &child) == 1)
                n++;
        if (file)
                fclose(file);
        return n;
}

static void print_sizes(const char *name) {
        struct fsrv_stats stats = { .size = sizeof stats };
        int children = 0;

        for (int i = 0; i < REST_LIMIT_MS; i++) {
                if (fsrv_server_get_stats(server, &stats, NULL) == 0 && stats.workers == 0 &&
                    stats.standbys == STANDBYS && (children = count_children(stats.server_pid)) == 1 + STANDBYS)
                        break;
                usleep(1000);
        }
        printf(",\"%s\":{\"server_fds\":%d,\"server_kib\":%ld,\"zygote_fds\":%d,\"zygote_kib\":%ld,\"own_fds\":%d,"
               "\"children\":%d}",
               name, count_fds(stats.server_pid), rss_kib(stats.server_pid), count_fds(stats.zygote_pid),
               rss_kib(stats.zygote_pid), count_fds(getpid()), children);
}

static void read_options(int argc, char **argv) {
        static const struct option known[] = { { "spawns", 1, NULL, 'n' },
                                               { "threads", 1, NULL, 't' },
                                               { NULL, 0, NULL, 0 } };
        int c;

        while ((c = getopt_long(argc, argv, "", known, NULL)) != -1)
                switch (c) {
                case 'n':
                        options.spawns = strtoul(optarg, NULL, 10);
                        break;
                case 't':
                        options.threads = (unsigned)atoi(optarg);
                        break;
                default:
                        exit(2);
                }
        if (optind + 1 != argc || options.threads > THREADS_MAX || options.spawns < WARM_UP + 2 * TIMED)
                exit(2);
        options.module = argv[optind];
}

int main(int argc, char **argv) {
        struct fsrv_server_options new = { .size = sizeof new, .standbys = STANDBYS };
        struct fsrv_error error = { 0 };
        struct fsrv_server *fresh; /* starts with its first spawn */

        read_options(argc, argv);
        new.preload = (const char *const[]){ options.module, NULL };
        if (fsrv_server_new(&new, &server, &error) < 0 || fsrv_server_new(&new, &fresh, &error) < 0) {
                fprintf(stderr, "long: %s\n", error.text);
                return 1;
        }
        unsigned long rest = options.spawns - WARM_UP - 2 * TIMED;
        double start = now_us();
        printf("{\"spawns\":%lu", options.spawns);
        run(WARM_UP);
        measure_latency("early", NULL, NULL);
        print_sizes("start");
        run(rest / 2);
        print_sizes("middle");
        run(rest - rest / 2);
        measure_latency("late", fresh, "fresh");
        fsrv_server_free(fresh);
        print_sizes("end");
        printf(",\"seconds\":%.1f,", (now_us() - start) / 1e6);
        tally_print(&tally);
        puts("}");
        fsrv_server_free(server);
        return 0;
}
