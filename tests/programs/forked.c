/* SPDX-License-Identifier: MIT */
/* forked MODULE FORKS SPAWNS THREADS: threads spawn without a pause; meanwhile the program forks, and the children use
 * the same handle, from threads of their own. Prints JSON; a child that saw anything wrong is counted. */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static struct fsrv_server *server;
static const char *module;
static unsigned long spawns;
static struct tally tally = TALLY_INITIALIZER;
static atomic_bool over;

static void spawn_and_check(unsigned long i) {
        struct item item;

        if (item_spawn(server, module, i, &item, &tally))
                item_check(&item, &tally);
}

static void *spawn_until_over(void *data) {
        for (unsigned long i = 0; i < spawns || !atomic_load(&over); i++)
                spawn_and_check(i);
        return data;
}

static void *spawn_some(void *data) {
        for (unsigned long i = 0; i < spawns; i++)
                spawn_and_check(i);
        return data;
}

static _Noreturn void be_child(void) {
        pthread_t thread;

        tally = (struct tally)TALLY_INITIALIZER;
        pthread_create(&thread, NULL, spawn_some, NULL);
        spawn_some(NULL);
        pthread_join(thread, NULL);
        if (tally.wrong || tally.lost || tally.failed)
                fprintf(stderr, "forked: in a child: %s\n", tally.first);
        bool good = tally.right == 2 * spawns && !tally.wrong;
        fsrv_server_free(server);
        _exit(good ? 0 : 1);
}

int main(int argc, char **argv) {
        struct fsrv_server_options options = { .size = sizeof options };
        struct fsrv_error error = { 0 };
        pthread_t threads[16];
        int good = 0, status;

        if (argc != 5)
                return 2;
        int forks = atoi(argv[2]), n_threads = atoi(argv[4]);
        module = argv[1];
        spawns = strtoul(argv[3], NULL, 10);
        options.preload = (const char *const[]){ module, NULL };
        if (n_threads > 16 || fsrv_server_new(&options, &server, &error) < 0)
                return 1;
        for (int i = 0; i < n_threads; i++)
                pthread_create(&threads[i], NULL, spawn_until_over, NULL);
        spawn_and_check(1); /* so that there is something to inherit */
        for (int i = 0; i < forks; i++)
                if (fork() == 0)
                        be_child();
        for (int i = 0; i < forks; i++)
                if (waitpid(-1, &status, 0) > 0 && status == 0)
                        good++;
        atomic_store(&over, true);
        for (int i = 0; i < n_threads; i++)
                pthread_join(threads[i], NULL);
        printf("{\"children\":%d,\"good\":%d,", forks, good);
        tally_print(&tally);
        printf("}\n");
        fsrv_server_free(server);
        return 0;
}
