/* SPDX-License-Identifier: MIT */
/*
 * launching DIRECTORY: a server of that directory takes until there is a file "go" in it, and says in a file "begun", a
 * line each, that it has begun. Meanwhile others have their own time-outs, fork, and change the preload list.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <forkserver.h>

enum { LONG_MS = 60000, SHORT_MS = 50 };

static struct fsrv_server *server;
static char begun[4096], go[4096];

static void expect(int good, const char *what) {
        if (good)
                return;
        fprintf(stderr, "launching: %s\n", what);
        exit(1);
}

static int run(int timeout_ms, struct fsrv_error *error) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_request *request;

        if (fsrv_request_new(&request) < 0 || fsrv_request_set_program(request, "true") < 0)
                abort();
        fsrv_request_set_spawn_timeout(request, timeout_ms);
        int r = fsrv_run(server, request, &status, error);
        fsrv_request_free(request);
        return r < 0 ? r : status.exit_code;
}

static void expect_time_out(const char *what) {
        struct fsrv_error error = { 0 };
        int r = run(SHORT_MS, &error);

        if (r != -ETIMEDOUT || error.stage != FSRV_STAGE_START)
                fprintf(stderr, "launching: %d, stage %s: %s\n", r, fsrv_stage_name(error.stage), error.text);
        expect(r == -ETIMEDOUT && error.stage == FSRV_STAGE_START, what);
}

/* How many servers have begun; waits until there are so many. */
static void await_begun(long n) {
        struct stat st = { 0 };

        while (stat(begun, &st) < 0 || st.st_size < n)
                usleep(1000);
        expect(st.st_size == n, "a server too many");
}

static void *patient(void *data) {
        struct fsrv_error error = { 0 };
        int *result = data;

        *result = run(LONG_MS, &error);
        if (*result != 0)
                fprintf(stderr, "launching: a patient one: %s\n", error.text);
        return NULL;
}

int main(int argc, char **argv) {
        struct fsrv_server_options options = { .size = sizeof options };
        pthread_t threads[4];
        int results[4], status = -1;

        if (argc != 2)
                return 2;
        snprintf(begun, sizeof begun, "%s/begun", argv[1]);
        snprintf(go, sizeof go, "%s/go", argv[1]);
        options.helper_directory = argv[1];
        expect(fsrv_server_new(&options, &server, NULL) == 0, "a handle");

        expect_time_out("the call that begins it gives up in time");
        await_begun(1);
        for (int i = 0; i < 4; i++)
                pthread_create(&threads[i], NULL, patient, &results[i]);
        expect_time_out("the call that comes later gives up in time, too");
        await_begun(1); /* all wait for the same one */

        pid_t child = fork(); /* waits for nobody */
        if (child == 0)
                _exit(run(LONG_MS, NULL)); /* by a server of its own */
        await_begun(2);

        expect(fsrv_server_set_preload(server, NULL, FSRV_PRELOAD_WARN, NULL) == 0, "another preload list");
        await_begun(3); /* which the patient ones have now */
        int fd = open(go, O_CREAT | O_WRONLY, 0600);
        expect(fd >= 0, "a file");
        close(fd);
        for (int i = 0; i < 4; i++) {
                pthread_join(threads[i], NULL);
                expect(results[i] == 0, "a patient one has run");
        }
        expect(child > 0 && waitpid(child, &status, 0) == child && status == 0, "the child's has run");
        expect(run(LONG_MS, NULL) == 0, "one more");
        await_begun(3);
        fsrv_server_free(server);
        return 0;
}
