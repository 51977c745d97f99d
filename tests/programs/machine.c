/* SPDX-License-Identifier: MIT */
/* machine: what this machine charges just now for a fork with its exit, a page fault and a system call, as JSON in
 * microseconds. Its load counts: beside many runnable processes all of these take longer, and so do the tests. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FORKS = 200, PAGES = 8192, PAGE = 4096, CALLS = 50000 };

static double now(void) {
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static double fork_us(void) {
        double begin = now();

        for (int i = 0; i < FORKS; i++) {
                pid_t pid = fork();
                if (pid == 0)
                        _exit(0);
                if (pid > 0)
                        waitpid(pid, NULL, 0);
        }
        return (now() - begin) / FORKS;
}

static double fault_us(void) {
        char *memory = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        double begin = now();

        if (memory == MAP_FAILED)
                return 0;
        madvise(memory, (size_t)PAGES * PAGE, MADV_NOHUGEPAGE);
        for (size_t i = 0; i < PAGES; i++)
                memory[i * PAGE] = 1;
        return (now() - begin) / PAGES;
}

static double call_us(void) {
        double begin = now();

        for (int i = 0; i < CALLS; i++)
                syscall(SYS_getppid);
        return (now() - begin) / CALLS;
}

int main(void) {
        double fork_time = fork_us(), fault_time = fault_us(), call_time = call_us();

        printf("{\"fork\": %.1f, \"fault\": %.2f, \"call\": %.3f}\n", fork_time, fault_time, call_time);
        return 0;
}
