/* SPDX-License-Identifier: MIT */
/*
 * What is in files that nobody trusts? libmagic looks at each in a process of its own, which is locked in: it has
 * limits of time and memory, no network, no programs, and no files but the one. The answer comes back as JSON.
 *
 *     cc parse.c $(pkg-config --cflags --libs libforkserver) -lmagic && ./a.out FILE...
 */
#include <forkserver.h>

#include <fcntl.h>
#include <magic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static magic_t cookie;

/* Once, before any process is made. */
__attribute__((constructor)) static void load_database(void) {
        cookie = magic_open(MAGIC_MIME);
        if (cookie)
                magic_load(cookie, NULL);
}

/* What runs in the processes. */
int identify(int argc, char **argv);
int identify(int argc, char **argv) {
        const void *bytes;
        char json[512];
        size_t n;

        (void)argc, (void)argv;
        if (fsrv_worker_get_payload(&bytes, &n) < 0)
                return 1;
        const char *type = magic_buffer(cookie, bytes, n);
        if (!type)
                return fsrv_worker_fail(1, magic_error(cookie));
        int size = snprintf(json, sizeof json, "{\"type\": \"%s\", \"bytes\": %zu}", type, n);
        return fsrv_worker_set_result(json, (size_t)size);
}

static int make_sandbox(struct fsrv_sandbox **ret_sandbox, struct fsrv_error *error) {
        int r = fsrv_sandbox_new("untrusted", ret_sandbox, error);

        if (r == 0)
                r = fsrv_sandbox_limit(*ret_sandbox, RLIMIT_AS, 1 << 30); /* so much more than is loaded */
        return r < 0 ? r : fsrv_sandbox_seal(*ret_sandbox, NULL, NULL, error);
}

int main(int argc, char **argv) {
        static const struct fsrv_entry entries[] = { { "identify", identify }, { 0 } };
        const struct fsrv_server_options options = { .size = sizeof options,
                                                     .preload = (const char *[]){ FSRV_PRELOAD_MAIN, NULL } };
        struct fsrv_server *server;
        struct fsrv_request *request;
        struct fsrv_sandbox *sandbox = NULL;
        struct fsrv_error error;

        if (fsrv_zygote_enter(argc, argv, entries, &error) < 0 || fsrv_server_new(&options, &server, &error) < 0 ||
            fsrv_request_new(&request) < 0 || fsrv_request_set_entry(request, ":identify") < 0 ||
            make_sandbox(&sandbox, &error) < 0 || fsrv_request_set_sandbox(request, sandbox) < 0 ||
            fsrv_request_set_time_limit(request, 2000, 0) < 0)
                return 1;
        for (char **path = argv + 1; *path; path++) {
                struct fsrv_result result = { .size = sizeof result };
                int fd = open(*path, O_RDONLY | O_CLOEXEC);

                if (fsrv_request_set_payload_fd(request, fd) < 0) /* the process maps the file: nothing is copied */
                        printf("%s: it cannot be opened\n", *path);
                else if (fsrv_call(server, request, NULL, 0, &result, &error) == 0)
                        printf("%s: %.*s\n", *path, (int)result.n, (const char *)result.bytes);
                else
                        printf("%s: %s\n", *path, error.text);
                fsrv_result_free(&result);
                close(fd);
        }
        fsrv_sandbox_unref(sandbox);
        fsrv_request_free(request);
        fsrv_server_free(server);
        return 0;
}
