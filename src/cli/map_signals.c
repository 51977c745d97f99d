/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Handlers rather than a signalfd: a spawn may wait for a module that hangs while it loads, and a write for a reader
 * that sleeps. Without handlers no signal would reach us there. */
static struct {
        volatile sig_atomic_t count, first, busy, alarmed;
        volatile int fd;
        struct timespec when;   /* of the first */
        volatile pid_t *groups; /* of the items that run, 0 for none, by slot */
        unsigned long n_groups;
} caught = { .fd = -1 };

enum { BUSY_LIMIT = 1 /* seconds */, SAME_MS = 20 };

static void set_default(int signal) {
        sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
}

/* Our end is the items' end: they are spawned to be killed with us. */
static void on_alarm(int signal) {
        (void)signal;
        caught.alarmed = false;
        if (!caught.busy)
                return;
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, caught.first);
        set_default(caught.first);
        raise(caught.first);
        sigprocmask(SIG_UNBLOCK, &set, NULL); /* the alarm may have come while it was being handled */
        _exit(128 + caught.first);
}

/* timeout(1) sends its signal to us and then to our group: both are one signal. */
static bool is_same_signal_again(int signal) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        if (caught.count == 0) {
                caught.first = signal;
                caught.when = now;
                return false;
        }
        long ms = (now.tv_sec - caught.when.tv_sec) * 1000 + (now.tv_nsec - caught.when.tv_nsec) / 1000000;
        return caught.count == 1 && signal == caught.first && ms < SAME_MS;
}

static void on_signal(int signal) {
        int err = errno;
        const uint64_t one = 1;

        if (is_same_signal_again(signal)) {
                errno = err;
                return;
        }
        caught.count++;
        if (caught.count > 1 && caught.busy && !caught.alarmed) {
                caught.alarmed = true; /* once: more signals mustn't put it off */
                alarm(BUSY_LIMIT);
        }
        (void)!write(caught.fd, &one, sizeof one);
        errno = err;
}

/* ---- stops ---- */

static void continue_groups(void) {
        for (unsigned long i = 0; i < caught.n_groups; i++)
                if (caught.groups[i])
                        kill(-caught.groups[i], SIGCONT);
}

/* In another session, that of a named server, SIGTSTP stops no group: no shell there could continue it. */
static void stop_groups(void) {
        for (unsigned long i = 0; i < caught.n_groups; i++)
                if (caught.groups[i])
                        kill(-caught.groups[i], getsid(caught.groups[i]) == getsid(0) ? SIGTSTP : SIGSTOP);
}

/* ^Z doesn't reach the items, which have groups of their own. All is done here, as we may be in a write that waits.
 * Where the kernel doesn't stop us (no shell could continue us, setpgid(2)) they go on at once. */
static void on_stop(int number) {
        int err = errno;
        struct sigaction ours;
        sigset_t set, before;

        stop_groups();
        sigaction(number, &(struct sigaction){ .sa_handler = SIG_DFL }, &ours);
        raise(number);
        sigemptyset(&set);
        sigaddset(&set, number);
        sigprocmask(SIG_UNBLOCK, &set, &before); /* here we stop */
        sigprocmask(SIG_SETMASK, &before, NULL);
        sigaction(number, &ours, NULL);
        continue_groups();
        errno = err;
}

void map_signals_set_group(unsigned long slot, pid_t group) {
        if (slot < caught.n_groups)
                caught.groups[slot] = group;
}

void map_signals_hold_stops(bool hold) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGTSTP);
        sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static int init_stops(const struct map_signals *signals, unsigned long jobs) {
        caught.groups = calloc(jobs, sizeof *caught.groups);
        if (!caught.groups) {
                cli_complain("map: out of memory");
                return -ENOMEM;
        }
        caught.n_groups = jobs;
        if (sigismember(&signals->ignored, SIGTSTP) != 1)
                sigaction(SIGTSTP, &(struct sigaction){ .sa_handler = on_stop, .sa_flags = SA_RESTART }, NULL);
        return 0;
}

/* ---- all ---- */

int map_signals_init(struct map_signals *signals, unsigned long jobs) {
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
        sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm }, NULL);
        signal(SIGXFSZ, SIG_IGN); /* what items print has to go elsewhere then */
        signal(SIGPIPE, SIG_DFL); /* our parent may ignore it: `| head` ends us */
        return init_stops(signals, jobs);
}

void map_signals_done(struct map_signals *signals) {
        caught.fd = -1;
        caught.n_groups = 0;
        free((void *)caught.groups);
        caught.groups = NULL;
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
