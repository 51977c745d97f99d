/* SPDX-License-Identifier: MIT */
/*
 * A TCP server on 127.0.0.1 that serves each connection in its own process, prepared beforehand. A crash ends one
 * connection, and nothing of one is ever in the memory of another. Every line comes back with its checksum.
 *
 *   cc prefork-server.c -o prefork-server $(pkg-config --cflags --libs libforkserver) && ./prefork-server 7007
 *
 * Port 0: any; the number is printed. On SIGTERM and SIGINT it takes no more connections, and gives those that there
 * are 3 s.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <forkserver.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

static uint32_t crc_table[256];

/* What all workers share: here a table; in a real server its configuration, templates, a model… */
static void prepare(void) {
        for (uint32_t i = 0; i < 256; i++) {
                crc_table[i] = i;
                for (int k = 0; k < 8; k++)
                        crc_table[i] = crc_table[i] >> 1 ^ (crc_table[i] & 1 ? 0xEDB88320u : 0);
        }
}

/* ---- in a worker: one connection ---- */

static uint32_t crc32_of(const char *text, size_t n) {
        uint32_t crc = UINT32_MAX;

        while (n-- > 0)
                crc = crc >> 8 ^ crc_table[(crc ^ (unsigned char)*text++) & 0xFF];
        return ~crc;
}

static int serve(int argc, char **argv) {
        const int *fds;
        size_t n_fds, size = 0;
        char *line = NULL;
        ssize_t n;

        (void)argc;
        (void)argv;
        signal(SIGPIPE, SIG_IGN);
        if (fsrv_worker_get_fds(&fds, &n_fds) < 0 || n_fds != 1)
                return 1;
        FILE *in = fdopen(fds[0], "r"), *out = fdopen(dup(fds[0]), "w");
        if (!in || !out)
                return 1;
        while ((n = getline(&line, &size, in)) > 0) {
                if (strcmp(line, "crash\n") == 0)
                        abort();
                fprintf(out, "%08x %s", (unsigned)crc32_of(line, (size_t)n), line);
                if (fflush(out) != 0)
                        break; /* the client has gone */
        }
        return 0;
}

static const struct fsrv_entry entries[] = { { "serve", serve }, { NULL, NULL } };

/* ---- in the server: accepts, spawns, and hears of each end, in one loop ---- */

struct state {
        int epoll, listener, signals;
        struct fsrv_server *server;
        size_t connections;
};

static _Noreturn void die(const char *what, int err) {
        fprintf(stderr, "prefork-server: %s: %s\n", what, strerror(err));
        exit(1);
}

static void watch(int epoll, int fd, void *data) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = data };

        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
                die("epoll_ctl", errno);
}

static int listen_on(const char *port) {
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)atoi(port)),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof address;
        int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
            bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, SOMAXCONN) < 0 ||
            getsockname(fd, (struct sockaddr *)&address, &size) < 0)
                die("listening on 127.0.0.1", errno);
        printf("%d\n", ntohs(address.sin_port));
        fflush(stdout);
        return fd;
}

static struct fsrv_request *new_request(int connection) {
        struct fsrv_request *request;
        sigset_t none;

        sigemptyset(&none); /* this process has blocked the signals that it reads from its signalfd */
        int r = fsrv_request_new(&request);
        if (r < 0 || (r = fsrv_request_set_entry(request, ":serve")) < 0 ||
            (r = fsrv_request_add_fd(request, connection)) < 0 ||
            (r = fsrv_request_set_signal_mask(request, &none)) < 0 ||
            (r = fsrv_request_set_flags(request, FSRV_SPAWN_KILL_ON_CLOSE)) < 0) /* no worker survives us */
                die("a request", -r);
        return request;
}

static void on_connection(struct state *s) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
        struct fsrv_process *process;
        struct fsrv_error error;

        if (fd < 0) { /* it has gone already; or there is no fd for it, and we hear of it again */
                if (errno == EMFILE || errno == ENFILE)
                        usleep(10000);
                return;
        }
        struct fsrv_request *request = new_request(fd);
        int r = fsrv_spawn(s->server, request, &process, &error);
        if (r < 0)
                fprintf(stderr, "prefork-server: %s (stage %s)\n", error.text, fsrv_stage_name(error.stage));
        fsrv_request_free(request);
        close(fd); /* the worker's now */
        if (r < 0)
                return;
        int poll_fd = fsrv_process_get_poll_fd(process);
        if (poll_fd < 0)
                die("a worker's poll fd", -poll_fd);
        watch(s->epoll, poll_fd, process);
        s->connections++;
}

static void on_process(struct state *s, struct fsrv_process *process) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error;
        int r = fsrv_process_wait(process, 0, &status, &error);

        if (r == -ETIMEDOUT)
                return; /* a step towards the status */
        if (r < 0)
                fprintf(stderr, "prefork-server: %s\n", error.text);
        else if (status.signal)
                fprintf(stderr, "prefork-server: worker %d: %s\n", (int)status.pid, strsignal(status.signal));
        fsrv_process_unref(process); /* closes the poll fd, which takes it out of the epoll */
        s->connections--;
}

static void serve_until_signal(struct state *s) {
        for (;;) {
                struct epoll_event events[64];
                int n = epoll_wait(s->epoll, events, 64, -1);

                for (int i = 0; i < n; i++) {
                        if (events[i].data.ptr == &s->signals)
                                return;
                        if (events[i].data.ptr == &s->listener)
                                on_connection(s);
                        else
                                on_process(s, events[i].data.ptr);
                }
        }
}

/* Takes no more connections; the workers that are left when this process ends are killed (KILL_ON_CLOSE). */
static void finish(struct state *s) {
        close(s->listener);
        if (fsrv_server_stop(s->server, 3000, NULL) < 0)
                fprintf(stderr, "prefork-server: some of %zu connections were cut off\n", s->connections);
        fsrv_server_free(s->server);
}

int main(int argc, char **argv) {
        static const char *const preload[] = { FSRV_PRELOAD_MAIN, NULL };
        struct fsrv_server_options options = { .size = sizeof options, .preload = preload, .standbys = 8 };
        struct state s;
        struct fsrv_error error;
        sigset_t set;

        prepare();
        if (fsrv_zygote_enter(argc, argv, entries, &error) < 0) { /* the zygote doesn't return from it */
                fprintf(stderr, "prefork-server: %s\n", error.text);
                return 1;
        }
        if (argc != 2) {
                fprintf(stderr, "usage: prefork-server PORT\n");
                return 2;
        }
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigprocmask(SIG_BLOCK, &set, NULL);
        s = (struct state){ .epoll = epoll_create1(EPOLL_CLOEXEC), .signals = signalfd(-1, &set, SFD_CLOEXEC) };
        if (s.epoll < 0 || s.signals < 0)
                die("epoll, signalfd", errno);
        if (fsrv_server_new(&options, &s.server, &error) < 0 || fsrv_server_ensure_running(s.server, &error) < 0) {
                fprintf(stderr, "prefork-server: %s\n", error.text);
                return 1;
        }
        s.listener = listen_on(argv[1]);
        watch(s.epoll, s.signals, &s.signals);
        watch(s.epoll, s.listener, &s.listener);
        serve_until_signal(&s);
        finish(&s);
        return 0;
}
