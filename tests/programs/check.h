/* SPDX-License-Identifier: MIT */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

/* Spawns whose end is known beforehand, and what became of them. */

#include <forkserver.h>
#include <pthread.h>
#include <stdbool.h>

struct tally {
        pthread_mutex_t lock;
        unsigned long right, wrong, lost, failed;
        char first[512]; /* what went wrong first */
};

#define TALLY_INITIALIZER \
        { .lock = PTHREAD_MUTEX_INITIALIZER }

struct item {
        struct fsrv_process *process;
        int exit_code; /* what has to come */
        int signal;
};

/* Starts number i of many: most exit with i % 200, some of them programs, some die by one of five signals. False if the
 * spawn failed. */
bool item_spawn(struct fsrv_server *server, const char *module, unsigned long i, struct item *ret_item,
                struct tally *tally);
/* Waits for it, compares, and gives it up. */
void item_check(struct item *item, struct tally *tally);
void tally_print(struct tally *tally);

#endif
