/* SPDX-License-Identifier: MIT */
/* small_stack MODULE SOCKET: calls of the library in a thread with the smallest stack that there is. */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <forkserver.h>

static const char *module, *path;
/* not on the stack, which is about what the library takes of it */
static struct fsrv_error error;
static struct fsrv_stats stats = { .size = sizeof stats };
static struct fsrv_status status = { .size = sizeof status };

static void expect(int good, const char *what) {
        if (good)
                return;
        fprintf(stderr, "small_stack: %s: %s\n", what, error.text);
        exit(1);
}

static void ignore(const struct fsrv_module_report *report, void *data) {
        (void)report;
        (void)data;
}

static void use(struct fsrv_server *server) {
        struct fsrv_process *processes[2];
        struct fsrv_result result = { .size = sizeof result };
        struct fsrv_request *request, *nothing;
        static char entry[4096];
        int fds[3];

        expect(fsrv_request_new(&request) == 0 && fsrv_request_set_program(request, "true") == 0, "a request");
        snprintf(entry, sizeof entry, "%s:echo", module);
        expect(fsrv_request_new(&nothing) == 0, "another request");
        expect(fsrv_run(server, request, &status, &error) == 0 && status.exit_code == 0, "running a program");
        expect(fsrv_request_set_entry(nothing, entry) == 0 &&
                       fsrv_call(server, nothing, "input", 5, &result, &error) == 0 && result.n == 0,
               "a call");
        fsrv_result_free(&result);
        fsrv_request_free(nothing);
        expect(fsrv_spawn_many(server, request, 2, processes, &error) == 2, "spawning two");
        for (int i = 0; i < 2; i++) {
                expect(fsrv_process_wait(processes[i], -1, &status, &error) == 0, "waiting");
                fsrv_process_unref(processes[i]);
        }
        expect(fsrv_spawn_pipes(server, request, FSRV_PIPE_STDOUT, fds, processes, &error) == 0,
               "spawning with a pipe");
        close(fds[1]);
        fsrv_process_unref(processes[0]);
        expect(fsrv_server_get_stats(server, &stats, &error) == 0, "statistics");
        expect(fsrv_server_ensure_running(server, &error) == 0, "looking whether the server runs");
        fsrv_request_free(request);
}

static void *work(void *data) {
        struct fsrv_server_options options = { .size = sizeof options,
                                               .flags = FSRV_SERVER_TRACKER | FSRV_SERVER_IN_TREE };
        const char *const modules[] = { module, NULL };
        struct fsrv_server *server;

        expect(fsrv_server_new(&options, &server, &error) == 0, "a handle");
        use(server);
        expect(fsrv_server_set_preload(server, modules, FSRV_PRELOAD_FAIL, &error) == 0, "another preload list");
        use(server);
        expect(fsrv_tracker_register(server, FSRV_RESOURCE_DUMMY, "small", &error) == 0 &&
                       fsrv_tracker_unregister(server, FSRV_RESOURCE_DUMMY, "small", &error) == 0,
               "the tracker");
        expect(fsrv_server_stop(server, 10000, &error) == 0, "stopping the server");
        fsrv_server_free(server);
        expect(fsrv_server_connect(path, FSRV_UID_OWN, &server, &error) == 0, "connecting");
        use(server);
        fsrv_server_free(server);
        options.preload = modules;
        expect(fsrv_check_preload(&options, ignore, NULL, NULL, &error) == 0, "checking a module");
        return data;
}

int main(int argc, char **argv) {
        pthread_attr_t attributes;
        pthread_t thread;

        if (argc != 3)
                return 2;
        module = argv[1];
        path = argv[2];
        pthread_attr_init(&attributes);
        if (pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN)) != 0 ||
            pthread_create(&thread, &attributes, work, NULL) != 0)
                return 3;
        pthread_join(thread, NULL);
        return 0;
}
