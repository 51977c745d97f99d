/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "top_live.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ps_table.h"
#include "top_head.h"
#include "top_screen.h"

static const char next_line[] = "\r\n\033[2K"; /* erased before it is written: behind its last column is nothing */

struct live {
        struct fsrv_server *server;
        struct ps_options *options;
        struct ps_view *view;
        struct top_screen screen;
        bool shows_help;
        int64_t next; /* when to ask again */
};

static void print_third(const struct live *live, char text[TOP_LINE_SIZE]) {
        static const char *const orders[] = {
                [PS_BY_AGE] = "age", [PS_BY_CPU] = "CPU", [PS_BY_MEMORY] = "memory", [PS_BY_PID] = "pid"
        };

        top_head_print(live->view, TOP_HEAD_LINES - 1, text);
        if (live->shows_help)
                snprintf(text, TOP_LINE_SIZE,
                         "q quit; sort: c CPU, m memory, a age, p pid; space asks now; h ends this");
        else if (!text[0])
                snprintf(text, TOP_LINE_SIZE, "by %s; h for help", orders[live->options->order]);
}

static void print_frame(const struct live *live, FILE *out) {
        struct ps_size size = ps_size_now();
        char text[TOP_LINE_SIZE];
        size_t used = 0;

        fputs("\033[H\033[2K", out);
        for (; used < TOP_HEAD_LINES && used < size.lines; used++) {
                if (used < TOP_HEAD_LINES - 1)
                        top_head_print(live->view, used, text);
                else
                        print_third(live, text);
                fputs(used > 0 ? next_line : "", out);
                ps_line_put(out, text, size.columns);
        }
        if (used < size.lines) {
                size.lines -= used;
                fputs(next_line, out);
                ps_table_print(out, live->view, live->options, size, next_line);
                if (live->view->n + 1 < size.lines)
                        fputs("\r\n\033[J", out);
        }
}

/* In one write, so that the terminal shows no half of it. False: the terminal has gone. */
static bool draw(const struct live *live) {
        char *text = NULL;
        size_t n;
        FILE *out = open_memstream(&text, &n);

        if (!out)
                return false;
        print_frame(live, out);
        bool is_there = fclose(out) == 0 && top_screen_write(text, n);
        free(text);
        return is_there;
}

static int ask(struct live *live, struct fsrv_error *error) {
        struct ps_view view;
        int r = ps_view_take(live->server, live->options, live->view, &view, error);

        if (r < 0)
                return r;
        ps_view_done(live->view);
        *live->view = view;
        live->next = top_now_ms() + (int64_t)cli_milliseconds(live->options->interval);
        return 0;
}

/* False: it means the end. */
static bool take_key(struct live *live, char key) {
        static const struct {
                char key;
                uint32_t order;
        } orders[] = { { 'c', PS_BY_CPU }, { 'm', PS_BY_MEMORY }, { 'a', PS_BY_AGE }, { 'p', PS_BY_PID } };

        if (key == 'h' || key == '?')
                live->shows_help = !live->shows_help;
        if (key == ' ')
                live->next = 0;
        for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
                if (orders[i].key == key) {
                        live->options->order = orders[i].order;
                        ps_view_sort(live->view, live->options->order, true);
                }
        return key != 'q' && key != 'Q';
}

static int show(struct live *live, struct fsrv_error *error) {
        for (;;) {
                char key = 0;

                if (!draw(live))
                        return 0;
                switch (top_screen_wait(&live->screen, live->next - top_now_ms(), &key)) {
                case TOP_ENDED:
                        return 0;
                case TOP_KEY:
                        if (!take_key(live, key))
                                return 0;
                        break;
                default:
                        break;
                }
                if (top_now_ms() < live->next)
                        continue;
                int r = ask(live, error);
                if (r < 0 && r != -EINTR) /* a signal waits, which is taken next */
                        return r;
        }
}

int top_live_run(struct fsrv_server *server, struct ps_options *options, struct ps_view *view, int *ret_signal,
                 struct fsrv_error *error) {
        struct live live = { .server = server, .options = options, .view = view };
        int r = top_screen_open(&live.screen);

        if (r < 0)
                return cli_fail(error, FSRV_STAGE_ADMIN, -r, "the terminal");
        fsrv_server_set_interrupt(server, top_screen_is_over, &live.screen);
        live.next = top_now_ms() + (int64_t)cli_milliseconds(options->interval);
        r = show(&live, error);
        fsrv_server_set_interrupt(server, NULL, NULL);
        top_screen_close(&live.screen);
        *ret_signal = live.screen.signal;
        return r;
}
