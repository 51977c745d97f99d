/* SPDX-License-Identifier: MIT */
/* waiters MODULE ROUNDS: several threads kill one process and wait for it, each with a reference of its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

enum { THREADS = 6 };

static struct tally tally = TALLY_INITIALIZER;

static void *kill_and_wait(void *data) {
        struct item item = { .process = data, .exit_code = -1, .signal = SIGTERM };
        int r = fsrv_process_kill(item.process, SIGTERM);

        if (r < 0 && r != -ESRCH)
                fprintf(stderr, "waiters: kill: %d\n", r);
        item_check(&item, &tally);
        return NULL;
}

int main(int argc, char **argv) {
        struct fsrv_server *server;
        struct fsrv_request *request;
        char entry[4096];

        if (argc != 3 || fsrv_server_new(NULL, &server, NULL) < 0 || fsrv_request_new(&request) < 0)
                return 1;
        snprintf(entry, sizeof entry, "%s:hang", argv[1]);
        fsrv_request_set_entry(request, entry);
        for (int round = atoi(argv[2]); round > 0; round--) {
                struct fsrv_error error = { 0 };
                struct fsrv_process *process;
                pthread_t threads[THREADS];

                if (fsrv_spawn(server, request, &process, &error) < 0) {
                        fprintf(stderr, "waiters: %s\n", error.text);
                        return 1;
                }
                for (int i = 0; i < THREADS; i++)
                        pthread_create(&threads[i], NULL, kill_and_wait, fsrv_process_ref(process));
                for (int i = 0; i < THREADS; i++)
                        pthread_join(threads[i], NULL);
                fsrv_process_unref(process);
        }
        printf("{");
        tally_print(&tally);
        printf("}\n");
        fsrv_request_free(request);
        fsrv_server_free(server);
        return 0;
}
