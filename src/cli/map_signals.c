/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Handlers rather than a signalfd: a spawn may wait for a module that hangs while it loads, and a write for a reader
 * that sleeps. Without handlers no signal would reach us there. */
static struct {
        volatile sig_atomic_t count, first, busy, alarmed;
        volatile int fd;
} caught = { .fd = -1 };

enum { BUSY_LIMIT = 1 /* seconds */ };

/* Our end is the items' end: they are spawned to be killed with us. */
static void on_alarm(int signal) {
        (void)signal;
        caught.alarmed = false;
        if (caught.busy)
                _exit(128 + caught.first);
}

static void on_signal(int signal) {
        int err = errno;
        const uint64_t one = 1;

        if (!caught.count)
                caught.first = signal;
        caught.count++;
        if (caught.count > 1 && caught.busy && !caught.alarmed) {
                caught.alarmed = true; /* once: more signals mustn't put it off */
                alarm(BUSY_LIMIT);
        }
        (void)!write(caught.fd, &one, sizeof one);
        errno = err;
}

int map_signals_init(struct map_signals *signals) {
        static const int wanted[] = { SIGINT, SIGTERM, SIGHUP };
        struct sigaction action;

        sigprocmask(SIG_SETMASK, NULL, &signals->mask);
        sigemptyset(&signals->ignored);
        for (int s = 1; s <= SIGRTMAX; s++)
                if (sigaction(s, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
                        sigaddset(&signals->ignored, s);

        signals->fd = caught.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (signals->fd < 0) {
                int err = errno;
                cli_complain("map: cannot make an eventfd: %s", strerror(err));
                return -err;
        }
        /* No SA_RESTART: a read that waits has to end. */
        action = (struct sigaction){ .sa_handler = on_signal };
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
                if (sigismember(&signals->ignored, wanted[i]) == 1)
                        continue; /* as nohup(1) and shells in the background have it */
                sigaddset(&action.sa_mask, wanted[i]);
        }
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
                if (sigismember(&action.sa_mask, wanted[i]) == 1)
                        sigaction(wanted[i], &action, NULL);
        signal(SIGALRM, on_alarm);
        signal(SIGXFSZ, SIG_IGN); /* what items print has to go elsewhere then */
        signal(SIGPIPE, SIG_DFL); /* whoever started us: `| head` ends us */
        return 0;
}

void map_signals_done(struct map_signals *signals) {
        caught.fd = -1;
        if (signals->fd >= 0)
                close(signals->fd);
        signals->fd = -1;
}

int map_signals_count(void) {
        return caught.count;
}

int map_signals_first(void) {
        return caught.first;
}

void map_signals_set_busy(bool busy) {
        caught.busy = busy;
}
