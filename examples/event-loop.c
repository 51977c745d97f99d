/* SPDX-License-Identifier: MIT */
/*
 * Processes in an event loop that waits only in epoll_wait(2). It starts each process and waits for its end, beside a
 * clock that ticks on.
 *
 *   cc event-loop.c -o event-loop $(pkg-config --cflags --libs libforkserver) && ./event-loop 5
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <forkserver.h>

/* A process on its way: first a spawn, then the process itself. */
struct job {
        int number;
        struct fsrv_spawn_handle *spawn;
        struct fsrv_process *process;
};

static int epoll, n_running;

static void die(const struct fsrv_error *error) {
        fprintf(stderr, "event-loop: %s\n", error->text);
        exit(1);
}

static void watch(int fd, void *data) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = data };

        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void on_end(struct job *job) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error;

        if (fsrv_process_wait(job->process, 0, &status, &error) != 0)
                return; /* a step towards it */
        printf("job %d exited with %d\n", job->number, status.exit_code);
        fsrv_process_unref(job->process);
        free(job);
        n_running--;
}

static void on_spawn(struct job *job) {
        struct fsrv_error error;
        int r = fsrv_spawn_finish(job->spawn, &job->process, &error);

        if (r == 1)
                return; /* not yet */
        if (r < 0)
                die(&error);
        job->spawn = NULL; /* and with it its fd has left the epoll */
        watch(fsrv_process_get_poll_fd(job->process), job);
}

static void start(struct fsrv_server *server, const struct fsrv_request *request, int number) {
        struct job *job = calloc(1, sizeof *job);
        struct fsrv_error error;

        job->number = number;
        if (fsrv_spawn_start(server, request, &job->spawn, &error) < 0)
                die(&error);
        watch(fsrv_spawn_get_poll_fd(job->spawn), job);
        n_running++;
}

int main(int argc, char **argv) {
        const struct itimerspec often = { { 0, 10000000 }, { 0, 10000000 } };
        int n = argc > 1 ? atoi(argv[1]) : 5, clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        struct fsrv_request *request;
        struct fsrv_server *server;
        struct fsrv_error error;
        uint64_t ticks = 0, more;

        if (fsrv_server_new(NULL, &server, &error) < 0)
                die(&error);
        fsrv_request_new(&request);
        fsrv_request_set_program(request, "sh");
        fsrv_request_set_argv(request, (const char *const[]){ "sh", "-c", "sleep 0.1; exit 7", NULL });

        epoll = epoll_create1(EPOLL_CLOEXEC);
        timerfd_settime(clock, 0, &often, NULL);
        watch(clock, NULL);
        for (int i = 0; i < n; i++)
                start(server, request, i);
        while (n_running > 0) {
                struct epoll_event event;

                if (epoll_wait(epoll, &event, 1, -1) != 1)
                        continue;
                struct job *job = event.data.ptr;
                if (!job)
                        ticks += read(clock, &more, sizeof more) == sizeof more ? more : 0;
                else if (job->spawn)
                        on_spawn(job);
                else
                        on_end(job);
        }
        printf("the clock ticked on: %s\n", ticks > 0 ? "yes" : "no");
        fsrv_request_free(request);
        fsrv_server_free(server);
        return 0;
}
