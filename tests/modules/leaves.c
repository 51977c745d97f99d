/* SPDX-License-Identifier: MIT */
/* What a module may leave behind: LEAVES in the environment names it. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_t thread;
static volatile int over;

static void *idle(void *data) {
        while (!over)
                usleep(1000);
        return data;
}

static void start_thread(void) {
        over = 0;
        pthread_create(&thread, NULL, idle, NULL);
        pthread_setname_np(thread, "leaves-thread");
}

/* As OpenBLAS does it. */
static void stop_thread(void) {
        over = 1;
        pthread_join(thread, NULL);
        thread = 0;
}

static void prepare(void) {
        if (thread)
                stop_thread();
}

int forkserver_preload(void) {
        const char *what = getenv("LEAVES") ? getenv("LEAVES") : "";
        char params[256] = "";
        int pair[2];

        if (strstr(what, "epoll"))
                epoll_create1(EPOLL_CLOEXEC);
        if (strstr(what, "eventfd"))
                eventfd(0, EFD_CLOEXEC);
        if (strstr(what, "socket") && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return errno;
        if (strstr(what, "pipe") && pipe2(pair, 0) < 0)
                return errno;
        if (strstr(what, "uring") && syscall(SYS_io_uring_setup, 4, params) < 0)
                return errno;
        if (strstr(what, "stopped"))
                pthread_atfork(prepare, NULL, NULL);
        if (strstr(what, "thread"))
                start_thread();
        if (strstr(what, "memory")) {
                char *memory = mmap(NULL, 50 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                madvise(memory, 50 << 20, MADV_NOHUGEPAGE);
                memset(memory, 1, 50 << 20);
        }
        return 0;
}

int nothing(int argc, char **argv) {
        (void)argc;
        (void)argv;
        return 0;
}
