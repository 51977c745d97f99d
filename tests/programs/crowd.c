/* SPDX-License-Identifier: MIT */
/* crowd forks | many N | cancel MODULE | copy: what else happens in a program while processes are made. Prints "right",
 * or what is not. */
#include <forkserver.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct fsrv_server *server;
static struct fsrv_request *request;
static struct fsrv_error error;

static void check(int is_right, const char *what) {
        if (is_right)
                return;
        printf("%s: %s\n", what, error.text);
        exit(1);
}

/* ---- another thread forks children that live on ---- */

static atomic_bool over;
static pid_t forked[4096];
static int n_forked;

static void *fork_on(void *data) {
        (void)data;
        while (!over && n_forked < 4096) {
                forked[n_forked] = fork();
                if (forked[n_forked] == 0) {
                        alarm(20);
                        pause();
                        _exit(0);
                }
                n_forked += forked[n_forked] > 0;
                nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
        }
        return NULL;
}

static double now(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void forks(void) {
        pthread_t thread;
        int slow = 0;

        fsrv_request_set_program(request, "true");
        check(fsrv_run(server, request, NULL, &error) == 0, "the first");
        pthread_create(&thread, NULL, fork_on, NULL);
        for (int i = 0; i < 300 && !slow; i++) {
                double begin = now();
                check(fsrv_run(server, request, NULL, &error) == 0, "fsrv_run()");
                slow = now() - begin > 10;
        }
        over = 1;
        pthread_join(thread, NULL);
        for (int i = 0; i < n_forked; i++) {
                kill(forked[i], SIGKILL);
                waitpid(forked[i], NULL, 0);
        }
        check(!slow, "it waited for somebody else's child");
}

/* ---- many on their way in one epoll ---- */

static void many(int n) {
        struct fsrv_spawn_handle **spawns = calloc((size_t)n, sizeof(struct fsrv_spawn_handle *));
        int epoll = epoll_create1(EPOLL_CLOEXEC), left = n;

        fsrv_request_set_program(request, "true");
        for (int i = 0; i < n; i++) {
                struct epoll_event event = { .events = EPOLLIN, .data.u32 = (uint32_t)i };
                check(fsrv_spawn_start(server, request, &spawns[i], &error) == 0, "fsrv_spawn_start()");
                check(epoll_ctl(epoll, EPOLL_CTL_ADD, fsrv_spawn_get_poll_fd(spawns[i]), &event) == 0, "epoll_ctl()");
        }
        while (left > 0) {
                struct epoll_event event;
                struct fsrv_process *process;
                check(epoll_wait(epoll, &event, 1, 60000) == 1, "epoll_wait()");
                int r = fsrv_spawn_finish(spawns[event.data.u32], &process, &error);
                check(r >= 0, "fsrv_spawn_finish()");
                if (r == 0) {
                        check(fsrv_process_wait(process, 60000, NULL, &error) == 0, "fsrv_process_wait()");
                        fsrv_process_unref(process);
                        left--;
                }
        }
        free(spawns);
        close(epoll);
}

/* ---- a module that hangs while it loads ---- */

static void cancel(const char *module) {
        struct fsrv_spawn_handle *spawn;
        struct fsrv_process *process;
        char entry[4096];

        snprintf(entry, sizeof entry, "%s:any", module);
        fsrv_request_set_entry(request, entry);
        check(fsrv_spawn_start(server, request, &spawn, &error) == 0, "fsrv_spawn_start()");
        for (double begin = now(); now() - begin < 1;) {
                struct pollfd entry_fd = { .fd = fsrv_spawn_get_poll_fd(spawn), .events = POLLIN };
                if (poll(&entry_fd, 1, 100) == 1)
                        check(fsrv_spawn_finish(spawn, &process, &error) == 1, "fsrv_spawn_finish()");
        }
        check(fsrv_spawn_cancel(spawn) == 1, "fsrv_spawn_cancel()");
        check(fsrv_server_stop(server, 10000, &error) == 0, "fsrv_server_stop()");
}

/* ---- a forked child's copy of a handle ---- */

static void copy(void) {
        struct fsrv_process *process;
        char *argv[] = { "sleep", "1000", NULL };

        fsrv_request_set_program(request, "sleep");
        fsrv_request_set_argv(request, (const char *const *)argv);
        fsrv_request_set_flags(request, FSRV_SPAWN_KILL_ON_CLOSE);
        check(fsrv_spawn(server, request, &process, &error) == 0, "fsrv_spawn()");
        pid_t child = fork();
        if (child == 0) {
                fsrv_process_unref(process);
                _exit(0);
        }
        waitpid(child, NULL, 0);
        check(fsrv_process_wait(process, 200, NULL, &error) == -ETIMEDOUT, "the copy ended it");
        fsrv_process_unref(process);
}

int main(int argc, char **argv) {
        check(fsrv_server_new(NULL, &server, &error) == 0, "fsrv_server_new()");
        check(fsrv_request_new(&request) == 0, "fsrv_request_new()");
        if (strcmp(argv[1], "forks") == 0)
                forks();
        else if (strcmp(argv[1], "many") == 0 && argc > 2)
                many(atoi(argv[2]));
        else if (strcmp(argv[1], "cancel") == 0 && argc > 2)
                cancel(argv[2]);
        else
                copy();
        fsrv_request_free(request);
        fsrv_server_free(server);
        puts("right");
        return 0;
}
