/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <unistd.h>

static void *idle(void *data) {
        for (;;)
                pause();
        return data;
}

__attribute__((constructor)) static void start(void) {
        static pthread_t thread;

        pthread_create(&thread, NULL, idle, NULL);
}
