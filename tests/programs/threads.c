/* SPDX-License-Identifier: MIT */
/*
 * threads MODULE THREADS ROUNDS FORKS SECONDS: that many threads spawn, wait for, look at, signal and give up
 * processes, some of their own, some that all of them share and that end by themselves after those seconds; the first
 * one forks meanwhile, and its children use the handle. Prints JSON.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { SLOTS = 8, MANY = 3 };

static struct fsrv_server *server;
static const char *module, *seconds;
static int rounds, forks;
static struct tally tally = TALLY_INITIALIZER;
static atomic_ulong next_item, other_errors;
static atomic_int good_children;

static struct slot {
        pthread_mutex_t lock;
        struct fsrv_process *process;
} slots[SLOTS];

static void expect(bool good, const char *what, int result) {
        if (good)
                return;
        fprintf(stderr, "threads: %s: %s\n", what, result < 0 ? strerrorname_np(-result) : "wrong");
        atomic_fetch_add(&other_errors, 1);
}

static void own_one(void) {
        struct item item;

        if (item_spawn(server, module, atomic_fetch_add(&next_item, 1), &item, &tally))
                item_check(&item, &tally);
}

/* ---- shared ones: somebody ends them by SIGTERM, or their successor by SIGKILL; or they end. valgrind 3.19 knows no
 * pidfd_send_signal(2), ENOSYS: they have to end soon there ---- */

static void signal_it(struct fsrv_process *process, int signal) {
        int r = fsrv_process_kill(process, signal);

        expect(r == 0 || r == -ESRCH || r == -ENOSYS, "a signal for a shared process", r);
}

static void expect_end(struct fsrv_process *process) {
        struct fsrv_status status = { .size = sizeof status };
        int r = fsrv_process_wait(process, 60000, &status, NULL);

        expect(r == 0, "waiting for a shared process", r);
        expect(r < 0 || status.exit_code == 0 || status.signal == SIGTERM || status.signal == SIGKILL,
               "how a shared process ended", 0);
}

static void end_shared(struct fsrv_process *process) {
        if (!process)
                return;
        signal_it(process, SIGKILL);
        expect_end(process);
        fsrv_process_unref(process);
}

static struct fsrv_process *exchange(struct slot *slot, struct fsrv_process *process) {
        pthread_mutex_lock(&slot->lock);
        struct fsrv_process *before = slot->process;
        slot->process = process;
        pthread_mutex_unlock(&slot->lock);
        return before;
}

static void share_some(void) {
        char entry[4096];
        struct fsrv_request *request;
        struct fsrv_process *made[MANY];

        snprintf(entry, sizeof entry, "%s:sleep", module);
        if (fsrv_request_new(&request) < 0 || fsrv_request_set_entry(request, entry) < 0 ||
            fsrv_request_set_argv(request, (const char *const[]){ entry, seconds, NULL }) < 0)
                abort();
        int n = fsrv_spawn_many(server, request, MANY, made, NULL);
        expect(n == MANY, "spawning some", n);
        for (int i = 0; i < n; i++)
                end_shared(exchange(&slots[(unsigned)rand() % SLOTS], made[i]));
        fsrv_request_free(request);
}

static void poll_it(int fd) {
        struct pollfd entry = { .fd = fd, .events = POLLIN };

        expect(fd >= 0, "an fd to poll", fd);
        poll(&entry, 1, 0);
}

static void meddle(unsigned how) {
        struct slot *slot = &slots[(unsigned)rand() % SLOTS];
        int r = 0;

        pthread_mutex_lock(&slot->lock);
        struct fsrv_process *process = slot->process ? fsrv_process_ref(slot->process) : NULL;
        pthread_mutex_unlock(&slot->lock);
        if (!process)
                return;
        switch (how % 5) {
        case 0:
                signal_it(process, SIGTERM);
                break;
        case 1:
                r = fsrv_process_wait(process, 0, NULL, NULL);
                break;
        case 2:
                poll_it(fsrv_process_get_poll_fd(process));
                break;
        case 3:
                poll_it(fsrv_process_get_pidfd(process));
                break;
        case 4:
                signal_it(process, SIGTERM);
                expect_end(process);
                break;
        }
        expect(r == 0 || r == -ETIMEDOUT, "looking at a shared process", r);
        fsrv_process_unref(process);
}

static void ask_server(void) {
        struct fsrv_stats stats = { .size = sizeof stats };
        int r = fsrv_server_get_stats(server, &stats, NULL);

        expect(r == 0, "statistics", r);
        r = fsrv_server_ensure_running(server, NULL);
        expect(r == 0, "looking whether the server runs", r);
}

static void track(unsigned number) {
        char name[64];

        snprintf(name, sizeof name, "/threads-%d-%u", (int)getpid(), number);
        int r = fsrv_tracker_register(server, FSRV_RESOURCE_SHARED_MEMORY, name, NULL);
        if (r == 0)
                r = fsrv_tracker_unregister(server, FSRV_RESOURCE_SHARED_MEMORY, name, NULL);
        expect(r == 0, "telling the tracker", r);
}

/* ---- forks ---- */

static void fork_once(void) {
        int status = -1;
        pid_t pid = fork();

        if (pid == 0) { /* alone: what other threads hold of the program's own locks it must not touch */
                tally = (struct tally)TALLY_INITIALIZER;
                own_one();
                own_one();
                fsrv_server_free(server);
                _exit(tally.right == 2 ? 0 : 1);
        }
        if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
                atomic_fetch_add(&good_children, 1);
}

static void *work(void *data) {
        unsigned number = (unsigned)(size_t)data;

        for (int i = 0; i < rounds; i++) {
                own_one();
                if ((unsigned)i % 4 == number % 4)
                        share_some();
                meddle((unsigned)i + number);
                if ((unsigned)i % 8 == number % 8)
                        ask_server();
                if (i % 4 == 0)
                        track(number);
                if (number == 0 && i < forks)
                        fork_once();
                /* the next spawn starts a new server; the old one ends with its workers */
                if (number == 1 && i % 8 == 7) {
                        int r = fsrv_server_set_preload(server, (const char *const[]){ module, NULL },
                                                        FSRV_PRELOAD_FAIL, NULL);
                        expect(r == 0, "another preload list", r);
                }
        }
        return NULL;
}

static int count_fds(void) {
        int n = 0;

        for (int fd = 0; fd < 1024; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

int main(int argc, char **argv) {
        struct fsrv_server_options options = { .size = sizeof options, .flags = FSRV_SERVER_TRACKER };
        pthread_t threads[64];

        if (argc != 6 || atoi(argv[2]) > 64)
                return 2;
        size_t n = (size_t)atoi(argv[2]);
        int fds = count_fds();
        module = argv[1];
        rounds = atoi(argv[3]);
        forks = atoi(argv[4]);
        seconds = argv[5];
        options.preload = (const char *const[]){ module, NULL };
        if (fsrv_server_new(&options, &server, NULL) < 0)
                return 1;
        for (int i = 0; i < SLOTS; i++)
                pthread_mutex_init(&slots[i].lock, NULL);
        for (size_t i = 0; i < n; i++)
                pthread_create(&threads[i], NULL, work, (void *)i);
        for (size_t i = 0; i < n; i++)
                pthread_join(threads[i], NULL);
        for (int i = 0; i < SLOTS; i++)
                end_shared(exchange(&slots[i], NULL));
        fsrv_server_free(server);
        printf("{\"children\":%d,\"other_errors\":%lu,\"fds_left\":%d,", atomic_load(&good_children),
               atomic_load(&other_errors), count_fds() - fds);
        tally_print(&tally);
        printf("}\n");
        return 0;
}
