/* SPDX-License-Identifier: MIT */
/* calls MODULE ENTRY [ARGUMENT]: one call, and what came of it in a line; calls MODULE apart|many|own|file…: see below.
 */
#define _GNU_SOURCE
#include <forkserver.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static struct fsrv_server *server;
static struct fsrv_error error;

static int stop(const char *what) {
        fprintf(stderr, "calls: %s: %s\n", what, error.text);
        exit(1);
}

static struct fsrv_request *make_request(const char *module, const char *function, const char *argument) {
        struct fsrv_request *request;
        char entry[4096];

        snprintf(entry, sizeof entry, "%s:%s", module, function);
        if (fsrv_request_new(&request) < 0 || fsrv_request_set_entry(request, entry) < 0 ||
            fsrv_request_set_argv(request, (const char *const[]){ function, argument, NULL }) < 0 ||
            fsrv_request_set_time_limit(request, 2000, 0) < 0)
                stop("the request");
        return request;
}

static bool is_all(const unsigned char *bytes, size_t n, unsigned char value) {
        for (size_t i = 0; i < n; i++)
                if (bytes[i] != value)
                        return false;
        return true;
}

static void print_outcome(int r, const struct fsrv_result *result) {
        printf("%s %zu", r == 0 ? "ok" : strerrorname_np(-r), result->n);
        if (r == 0 && result->n > 0 && result->n < 64)
                printf(" '%.*s'", (int)result->n, (const char *)result->bytes);
        else if (r == 0 && result->n > 0)
                printf(" %s", is_all(result->bytes, result->n, 7) ? "sevens" : "something else");
        printf(" exit %d signal %d code %d", result->status.exit_code, result->status.signal, result->code);
        if (r < 0)
                printf(" %s: %s", fsrv_stage_name(error.stage), error.text);
        putchar('\n');
}

static int call(const char *module, const char *function, const char *argument) {
        struct fsrv_request *request = make_request(module, function, argument);
        struct fsrv_result result = { .size = sizeof result };

        print_outcome(fsrv_call(server, request, "hello", 5, &result, &error), &result);
        fsrv_result_free(&result);
        fsrv_result_free(&result);
        fsrv_request_free(request);
        return 0;
}

static int print_one(void *data, size_t index, int r, struct fsrv_result *result, const struct fsrv_error *why) {
        (void)data, (void)index, (void)why;
        print_outcome(r, result);
        return 0;
}

/* A call whose input is a file: file FUNCTION PATH. */
static int call_with_file(const char *module, const char *function, const char *path) {
        struct fsrv_request *request = make_request(module, function, path);
        struct fsrv_result result = { .size = sizeof result };
        int fd = open(path, O_RDONLY);

        if (fsrv_request_set_payload_fd(request, fd) < 0)
                stop("the file");
        print_outcome(fsrv_call(server, request, NULL, 0, &result, &error), &result);
        fsrv_result_free(&result);
        fsrv_request_free(request);
        close(fd);
        return 0;
}

/* Calls whose input is the request's own: bytes, a file that is replaced by them, nothing. */
static int call_with_own(const char *module) {
        struct fsrv_request *request = make_request(module, "echo", NULL);
        struct fsrv_result result = { .size = sizeof result };
        const struct fsrv_input none = { NULL, 0 };
        int fd = open("/dev/null", O_RDONLY);

        if (fsrv_request_set_payload_fd(request, -1) != -EBADF || fsrv_request_set_payload_fd(request, fd) < 0 ||
            fsrv_request_set_payload(request, "own", 3) < 0)
                stop("the payload");
        close(fd);
        print_outcome(fsrv_call(server, request, NULL, 0, &result, &error), &result);
        fsrv_result_free(&result);
        if (fsrv_call_many(server, request, &none, 1, NULL, print_one, NULL, &error) < 0)
                stop("many");
        print_outcome(fsrv_call(server, request, "", 0, &result, &error), &result);
        fsrv_result_free(&result);
        fsrv_request_free(request);
        return 0;
}

/* A spawn with a result, which is taken after the end: too early, in time, and once more. */
static int apart(const char *module) {
        struct fsrv_request *request = make_request(module, "echo", NULL);
        struct fsrv_result result = { .size = sizeof result };
        struct fsrv_process *process;

        fsrv_request_set_payload(request, "payload", 7);
        fsrv_request_set_flags(request, FSRV_SPAWN_RESULT);
        if (fsrv_spawn(server, request, &process, &error) < 0)
                stop("the spawn");
        fsrv_process_kill(process, 19 /* SIGSTOP, or it has ended */);
        int r = fsrv_process_get_result(process, &result, &error);
        if (r != -EBUSY && r != 0)
                stop("too early");
        fsrv_process_kill(process, 18);
        if (fsrv_process_wait(process, -1, NULL, &error) < 0)
                stop("the wait");
        if (r != 0)
                r = fsrv_process_get_result(process, &result, &error);
        print_outcome(r, &result);
        fsrv_result_free(&result);
        print_outcome(fsrv_process_get_result(process, &result, &error), &result);
        fsrv_process_unref(process);
        fsrv_request_free(request);
        return 0;
}

/* ---- many: N calls, of which IN_FLIGHT at a time, below a limit of open files if there is one ---- */

struct tally {
        size_t told, good, wrong, out_of_order, stop_at;
};

static int count_result(void *data, size_t index, int r, struct fsrv_result *result, const struct fsrv_error *why) {
        struct tally *tally = data;
        unsigned number;

        tally->out_of_order += index != tally->told;
        tally->told++;
        if (r < 0) {
                tally->wrong += !why || why->text[0] == 0;
                return 0;
        }
        memcpy(&number, result->bytes, sizeof number);
        if (result->n == sizeof number && number == index)
                tally->good++;
        else
                tally->wrong++;
        return tally->stop_at > 0 && tally->told == tally->stop_at ? 77 : 0;
}

static int many(const char *module, char **arguments) {
        struct fsrv_request *request = make_request(module, arguments[0], NULL);
        size_t n = strtoul(arguments[1], NULL, 0);
        struct fsrv_many how = { .size = sizeof how,
                                 .in_flight = (unsigned)atoi(arguments[2]),
                                 .retries = (unsigned)atoi(arguments[3]),
                                 .flags = (unsigned)atoi(arguments[4]) };
        struct fsrv_input *inputs = calloc(n + 1, sizeof *inputs);
        unsigned *numbers = calloc(n + 1, sizeof *numbers);
        rlim_t limit = (rlim_t)atoi(arguments[5]);
        struct tally tally = { .stop_at = strtoul(arguments[6], NULL, 0) };

        for (size_t i = 0; i < n; i++) {
                numbers[i] = (unsigned)i;
                inputs[i] = (struct fsrv_input){ &numbers[i], sizeof *numbers };
        }
        if (limit > 0)
                setrlimit(RLIMIT_NOFILE, &(struct rlimit){ limit, limit });
        int r = fsrv_call_many(server, request, inputs, n, &how, count_result, &tally, &error);
        if (r < 0)
                stop("many");
        printf("%d told %zu good %zu wrong %zu%s\n", r, tally.told, tally.good, tally.wrong,
               tally.out_of_order ? "" : " in order");
        free(inputs);
        free(numbers);
        fsrv_request_free(request);
        return 0;
}

int main(int argc, char **argv) {
        const char *const modules[] = { argv[1], NULL };
        struct fsrv_server_options options = { .size = sizeof options, .preload = modules };

        if (argc < 3 || fsrv_server_new(&options, &server, &error) < 0)
                return stop("the server");
        int r = strcmp(argv[2], "apart") == 0  ? apart(argv[1])
                : strcmp(argv[2], "many") == 0 ? many(argv[1], argv + 3)
                : strcmp(argv[2], "own") == 0  ? call_with_own(argv[1])
                : strcmp(argv[2], "file") == 0 ? call_with_file(argv[1], argv[3], argv[4])
                                               : call(argv[1], argv[2], argv[3]);
        fsrv_server_stop(server, 10000, NULL);
        fsrv_server_free(server);
        return r;
}
