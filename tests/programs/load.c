/* SPDX-License-Identifier: MIT */
/*
 * load [--threads T] [--spawns N] [--kills K] [--kill zygote,standby,server] [--standbys S] MODULE: N spawns from T
 * threads, every status checked at its own handle, while processes of the fork server are killed K times. Prints JSON.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "killer.h"

enum {
        WINDOW = 4, /* processes that a thread has at a time: they end in another order than it asks */
        BEHIND = 2, /* kills that may be due: more, and the load waits */
};

static struct {
        unsigned threads, kills, standbys;
        unsigned long spawns;
        bool kinds[KILL_KINDS];
        const char *module;
} options = { .threads = 8, .spawns = 1000 };

static struct fsrv_server *server;
static struct tally tally = TALLY_INITIALIZER;
static atomic_ulong next_item, last_item, done_items;
static atomic_bool over;
static atomic_uint killed;
static unsigned kills[KILL_KINDS];

/* A killer that finds nobody to kill for a while isn't left behind by the load; one that never does, after some
 * seconds. */
static void wait_for_killer(unsigned long item) {
        static atomic_int patience = 100000;

        while (atomic_load(&killed) + BEHIND < item * options.kills / options.spawns && atomic_load(&patience) > 0) {
                atomic_fetch_sub(&patience, 1);
                usleep(500);
        }
}

static void *spawn_many(void *data) {
        struct item window[WINDOW] = { 0 };
        unsigned long i;

        while ((i = atomic_fetch_add(&next_item, 1)) < atomic_load(&last_item)) {
                struct item *item = &window[i % WINDOW];
                if (item->process)
                        item_check(item, &tally);
                wait_for_killer(i);
                item_spawn(server, options.module, i, item, &tally);
                atomic_fetch_add(&done_items, 1);
        }
        for (int k = 0; k < WINDOW; k++)
                if (window[k].process)
                        item_check(&window[k], &tally);
        return data;
}

static void run_until(unsigned long last) {
        pthread_t threads[64];

        atomic_store(&next_item, atomic_load(&done_items));
        atomic_store(&last_item, last);
        for (unsigned i = 0; i < options.threads; i++)
                pthread_create(&threads[i], NULL, spawn_many, NULL);
        for (unsigned i = 0; i < options.threads; i++)
                pthread_join(threads[i], NULL);
}

/* One kill each time that another share of the load is done. */
static void *kill_many(void *data) {
        int kind = 0;

        while (atomic_load(&killed) < options.kills && !atomic_load(&over)) {
                unsigned long due = options.spawns * atomic_load(&killed) / options.kills;
                struct fsrv_stats stats = { .size = sizeof stats };

                while (atomic_load(&done_items) < due && !atomic_load(&over))
                        usleep(50);
                do
                        kind = (kind + 1) % KILL_KINDS;
                while (!options.kinds[kind]);
                if (fsrv_server_get_stats(server, &stats, NULL) < 0 || !kill_one(stats.server_pid, kind)) {
                        usleep(50);
                        continue;
                }
                kills[kind]++;
                atomic_fetch_add(&killed, 1);
        }
        return data;
}

/* ---- what servers hold ---- */

struct size {
        int fds;
        long kib; /* private memory */
};

static struct size measure(pid_t pid) {
        struct size size = { 0 };
        char path[64], line[256];

        snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
        DIR *directory = opendir(path);
        while (directory && readdir(directory))
                size.fds++;
        if (directory)
                closedir(directory);
        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        FILE *file = fopen(path, "re");
        while (file && fgets(line, sizeof line, file))
                if (sscanf(line, "RssAnon: %ld", &size.kib) == 1)
                        break;
        if (file)
                fclose(file);
        return size;
}

/* Once every worker has been reaped, and the standbys are full again. */
static struct fsrv_stats settle(void) {
        struct fsrv_stats stats = { .size = sizeof stats };

        for (int i = 0; i < 5000; i++) {
                if (fsrv_server_get_stats(server, &stats, NULL) == 0 && stats.workers == 0 &&
                    (!options.standbys || stats.standbys == options.standbys))
                        break;
                usleep(1000);
        }
        return stats;
}

/* Again, at the end. The connection by which settle() asked may not be closed yet on the other side. What was killed
 * has a successor, which isn't the one that was measured before. */
static struct size measure_again(pid_t pid, struct size before) {
        struct size size = measure(pid);

        for (int i = 0; i < 5000 && !options.kills && size.fds > before.fds; i++) {
                usleep(1000);
                size = measure(pid);
        }
        return size;
}

static void print_growth(const char *name, struct size before, struct size after) {
        printf(",\"%s\":{\"fds\":[%d,%d],\"kib\":[%ld,%ld]}", name, before.fds, after.fds, before.kib, after.kib);
}

static void run_and_measure(void) {
        run_until(options.spawns / 5);
        struct fsrv_stats stats = settle();
        struct size s = measure(stats.server_pid), z = measure(stats.zygote_pid), own = measure(getpid());

        run_until(options.spawns);
        stats = settle();
        printf("{\"spawns\":%lu,", options.spawns);
        tally_print(&tally);
        print_growth("server", s, measure_again(stats.server_pid, s));
        print_growth("zygote", z, measure_again(stats.zygote_pid, z));
        print_growth("own", own, measure_again(getpid(), own));
        printf(",\"workers_left\":%u,\"zygote_starts\":%llu", stats.workers, (unsigned long long)stats.zygote_starts);
}

static void read_kinds(const char *word) {
        options.kinds[KILL_ZYGOTE] = strstr(word, "zygote");
        options.kinds[KILL_STANDBY] = strstr(word, "standby");
        options.kinds[KILL_SERVER] = strstr(word, "server");
}

static void read_options(int argc, char **argv) {
        static const struct option known[] = {
                { "threads", 1, NULL, 't' },  { "spawns", 1, NULL, 'n' }, { "kills", 1, NULL, 'k' },
                { "standbys", 1, NULL, 's' }, { "kill", 1, NULL, 'w' },   { NULL, 0, NULL, 0 },
        };
        int c;

        read_kinds("zygote,standby");
        while ((c = getopt_long(argc, argv, "", known, NULL)) != -1)
                switch (c) {
                case 't':
                        options.threads = (unsigned)atoi(optarg);
                        break;
                case 'n':
                        options.spawns = strtoul(optarg, NULL, 10);
                        break;
                case 'k':
                        options.kills = (unsigned)atoi(optarg);
                        break;
                case 's':
                        options.standbys = (unsigned)atoi(optarg);
                        break;
                case 'w':
                        read_kinds(optarg);
                        break;
                default:
                        exit(2);
                }
        if (optind + 1 != argc || options.threads > 64)
                exit(2);
        options.module = argv[optind];
}

int main(int argc, char **argv) {
        struct fsrv_server_options server_options = { .size = sizeof server_options };
        struct fsrv_error error = { 0 };
        pthread_t killer;

        read_options(argc, argv);
        server_options.preload = (const char *const[]){ options.module, NULL };
        server_options.standbys = options.standbys;
        if (fsrv_server_new(&server_options, &server, &error) < 0) {
                fprintf(stderr, "load: %s\n", error.text);
                return 1;
        }
        pthread_create(&killer, NULL, kill_many, NULL);
        run_and_measure();
        atomic_store(&over, true);
        pthread_join(killer, NULL);
        printf(",\"kills\":{\"zygote\":%u,\"standby\":%u,\"server\":%u}}\n", kills[KILL_ZYGOTE], kills[KILL_STANDBY],
               kills[KILL_SERVER]);
        fsrv_server_free(server);
        return 0;
}
