/* SPDX-License-Identifier: MIT */
/* Work from a queue, each job in a process of its own: a consumer of beanstalkd (https://beanstalkd.github.io). A job
 * whose process exits with 0 is answered in the tube "results" and deleted. A job whose process dies is put back, and
 * after a number of tries it is buried, for a person to look at. Start as many consumers as there are CPUs, on any
 * number of machines: cc consumer.c $(pkg-config --cflags --libs libforkserver) && ./a.out HOST PORT [TRIES]
 */
#include <forkserver.h>

#include <inttypes.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What runs in the processes: it counts words. */
int work(int argc, char **argv);
int work(int argc, char **argv) {
        const void *bytes;
        char text[32];
        long words = 0;
        size_t n;

        (void)argc, (void)argv;
        if (fsrv_worker_get_payload(&bytes, &n) < 0)
                return 1;
        const char *at = bytes, *end = at + n;
        if (n == 5 && memcmp(at, "crash", n) == 0)
                abort(); /* as code does that meets what it was not made for */
        if (n == 4 && memcmp(at, "hang", n) == 0)
                pause();
        for (; at < end; at++)
                words += *at != ' ' && (at + 1 == end || at[1] == ' ');
        int size = snprintf(text, sizeof text, "%ld words", words);
        return fsrv_worker_set_result(text, (size_t)size);
}

/* ---- the queue: https://raw.githubusercontent.com/beanstalkd/beanstalkd/master/doc/protocol.txt ---- */

static FILE *in, *out;

__attribute__((noreturn)) static void fail(const char *what) {
        fprintf(stderr, "consumer: %s\n", what);
        exit(1); /* the queue puts the job back that we held */
}

static void open_queue(const char *host, const char *port) {
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;

        if (getaddrinfo(host, port, &hints, &found) != 0)
                fail("there is no such host");
        int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) < 0)
                fail("the queue does not answer");
        in = fdopen(fd, "r");
        out = fdopen(dup(fd), "w");
        freeaddrinfo(found);
}

/* Whether the line that answers what was sent begins so. */
static bool is_answered(const char *begin, char line[256]) {
        if (fflush(out) != 0 || !fgets(line, 256, in))
                fail("the queue has gone");
        return strncmp(line, begin, strlen(begin)) == 0;
}

/* It has to begin so; the numbers behind that are *ret_a and *ret_b. */
static void take_answer(const char *begin, uint64_t *ret_a, uint64_t *ret_b) {
        char line[256];

        if (!is_answered(begin, line))
                fail(line);
        sscanf(line + strlen(begin), "%" SCNu64 " %" SCNu64, ret_a, ret_b);
}

/* So many bytes and CR LF; with a NUL behind them. */
static char *take_bytes(size_t n) {
        char *bytes = malloc(n + 3);

        if (!bytes || fread(bytes, 1, n + 2, in) != n + 2)
                fail("the queue has gone");
        bytes[n] = 0;
        return bytes;
}

static uint64_t number_in(const char *text, const char *name) {
        const char *at = strstr(text, name);

        return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* ---- one job ---- */

/* The job's number, by which a reader knows a result that comes twice, and what the entry point gave back. */
static bool put_result(uint64_t id, const struct fsrv_result *result, struct fsrv_error *error) {
        char head[32], line[256];
        int n = snprintf(head, sizeof head, "%" PRIu64 " ", id);

        fprintf(out, "put 0 0 60 %zu\r\n%s", (size_t)n + result->n, head);
        fwrite(result->bytes, 1, result->n, out);
        fputs("\r\n", out);
        bool is_there = is_answered("INSERTED ", line);
        if (!is_there)
                snprintf(error->text, sizeof error->text, "the queue does not take its result: %.*s",
                         (int)strcspn(line, "\r"), line);
        return is_there;
}

static void do_job(struct fsrv_server *server, struct fsrv_request *request, uint64_t most_tries) {
        struct fsrv_result result = { .size = sizeof result };
        struct fsrv_error error;
        uint64_t id, n, size, none;

        fputs("reserve\r\n", out);
        take_answer("RESERVED ", &id, &n);
        char *body = take_bytes(n);
        fprintf(out, "stats-job %" PRIu64 "\r\n", id);
        take_answer("OK ", &size, &none);
        char *stats = take_bytes(size);
        uint64_t seconds = number_in(stats, "\ntime-left: ");
        /* It ends before the queue gives the job to another consumer. */
        fsrv_request_set_time_limit(request, seconds > 1 ? (int)(seconds - 1) * 1000 : 500, 0);
        if (fsrv_call(server, request, body, n, &result, &error) == 0 && put_result(id, &result, &error)) {
                fprintf(out, "delete %" PRIu64 "\r\n", id); /* after the answer: rather twice than never */
                take_answer("DELETED", &none, &none);
        } else {
                if (!result.status.size)
                        fail(error.text); /* no process ran, which is not the job's fault */
                bool is_poison = number_in(stats, "\nreserves: ") >= most_tries;
                fprintf(stderr, "job %" PRIu64 ": %s%s\n", id, error.text, is_poison ? "; it is buried" : "");
                fprintf(out, is_poison ? "bury %" PRIu64 " 0\r\n" : "release %" PRIu64 " 0 0\r\n", id);
                take_answer(is_poison ? "BURIED" : "RELEASED", &none, &none);
        }
        fsrv_result_free(&result);
        free(stats);
        free(body);
}

int main(int argc, char **argv) {
        static const struct fsrv_entry entries[] = { { "work", work }, { 0 } };
        const struct fsrv_server_options options = { .size = sizeof options,
                                                     .preload = (const char *[]){ FSRV_PRELOAD_MAIN, NULL } };
        struct fsrv_server *server;
        struct fsrv_request *request;
        struct fsrv_error error;

        if (fsrv_zygote_enter(argc, argv, entries, &error) < 0 || fsrv_server_new(&options, &server, &error) < 0 ||
            fsrv_request_new(&request) < 0 || fsrv_request_set_entry(request, ":work") < 0)
                fail("there is no memory");
        if (argc < 3)
                fail("usage: consumer HOST PORT [TRIES]");
        uint64_t none, tries = argc > 3 ? strtoull(argv[3], NULL, 10) : 3;
        open_queue(argv[1], argv[2]);
        fputs("use results\r\n", out);
        take_answer("USING ", &none, &none);
        for (;;)
                do_job(server, request, tries);
}
