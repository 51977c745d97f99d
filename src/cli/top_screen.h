/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_TOP_SCREEN_H
#define FORKSERVER_CLI_TOP_SCREEN_H

/* The whole terminal, lent to us: with each key at once, and given back as it was, however we end or stop. */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

enum top_event {
        TOP_TIME,  /* the time is over */
        TOP_KEY,   /* *ret_key */
        TOP_DRAW,  /* the terminal has another size, or is ours again */
        TOP_ENDED, /* by top_screen.signal, or because nobody is there any more */
};

struct top_screen {
        int signals; /* a signalfd */
        int keys;    /* -1: there are none */
        int signal;  /* that ends us; 0 */
        sigset_t blocked, before;
        struct termios modes; /* as they were */
        bool is_open;
};

/* Whether standard output is a terminal that knows what we write. */
bool top_screen_is_possible(void);
/* 0 or -errno. */
int top_screen_open(struct top_screen *screen);
void top_screen_close(struct top_screen *screen);
enum top_event top_screen_wait(struct top_screen *screen, int64_t ms, char *ret_key);
/* All of it; false: nobody is there any more. */
bool top_screen_write(const char *text, size_t n);
/* Whether a signal waits that ends us: for fsrv_server_set_interrupt(). */
int top_screen_is_over(void *screen);

#endif
