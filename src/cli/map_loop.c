/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_state.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

static enum map_event signals_event = MAP_EVENT_SIGNALS, input_event = MAP_EVENT_INPUT;

int map_loop_init(struct map *m) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = &signals_event };

        m->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (m->epoll < 0 || epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->signals.fd, &event) < 0)
                return -errno;
        event = (struct epoll_event){ .events = EPOLLONESHOT, .data.ptr = &input_event };
        /* EPERM: a regular file */
        m->input_polled = epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->items->input.fd, &event) == 0;
        m->input_ready = !m->input_polled;
        return 0;
}

static void on_job(struct map *m, struct map_job *job) {
        struct map_result *result;
        int r = job->running ? map_job_finish(job, &m->setting, &result) : 0;

        if (r == 0)
                return;
        m->running--; /* closing the process has taken it out of the epoll */
        if (r < 0) {
                map_stop_with(m, CLI_EXIT_OURS);
                return;
        }
        map_signals_set_busy(true); /* with --line-buffer it is written here */
        if (result->outputs)
                map_report_check(&m->report, map_outputs_finish(result->outputs));
        map_signals_set_busy(false);
        map_trace(m, job, result->item, result, NULL);
        map_show(m, result);
}

static void on_output(struct map *m, struct map_output *output) {
        struct map_outputs *both = output->both;

        if (both->live)
                map_progress_clear(&m->report.progress);
        map_signals_set_busy(true);
        map_report_check(&m->report, map_output_read(output));
        map_signals_set_busy(false);
        if (m->report.broken)
                map_stop_with(m, CLI_EXIT_OURS);
        if (!map_outputs_are_open(both))
                map_late_remove(&m->late, both);
}

/* The first: nothing new. The second: what runs is ended. More: we don't even wait for that. */
static void act_on_signals(struct map *m) {
        unsigned count = (unsigned)map_signals_count();

        if (count > 0)
                m->stopping = true;
        if (count == 1 && m->killed == 0 && m->options->tty) { /* it may have come before the terminal was lent */
                map_signal_jobs(m, map_signals_first());
                m->killed = 1;
        }
        if (count > 1 && m->killed < count) {
                map_end_jobs(m, m->options->target.kill_after);
                m->killed = count;
        }
        if (m->kill_at && map_clock(CLOCK_MONOTONIC) >= m->kill_at)
                map_end_jobs(m, 0);
}

/* The input is watched only while we could use an item, so that its writer is held back. Once each time: a pipe that
 * hung up would wake us without end, also while we only wait for processes. */
static void watch_input(struct map *m) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.ptr = &input_event };

        if (!m->input_polled || m->input_armed || m->input_ready || !map_wants_input(m))
                return;
        m->input_armed = epoll_ctl(m->epoll, EPOLL_CTL_MOD, m->items->input.fd, &event) == 0;
}

static void on_event(struct map *m, enum map_event *kind) {
        if (*kind == MAP_EVENT_JOB)
                on_job(m, (struct map_job *)kind);
        else if (*kind == MAP_EVENT_INPUT) {
                m->input_armed = false;
                m->input_ready = true;
        }
}

static double smaller(double a, double b) {
        return a < b ? a : b;
}

/* Milliseconds until there is something to do without an event, -1 for ever. */
static int time_to_wait(struct map *m) {
        const double longest = 60, look = 0.05;
        double left = m->report.progress.with_line ? 0.2 : longest;
        double start = map_has_room(m) ? map_schedule_wait(&m->schedule, m->running) : 0;

        if (start > 0)
                left = smaller(left, start);
        if (m->running == 0 && m->ending.n)
                left = smaller(left, look); /* nothing tells when a group is empty */
        if (m->kill_at)
                left = smaller(left, m->kill_at - map_clock(CLOCK_MONOTONIC));
        if (left == longest)
                return -1;
        return left < 0 ? 0 : (int)(left * 1000) + 1;
}

/* Outputs first: an item's end frees what their events point to. */
static void wait_for_events(struct map *m) {
        struct epoll_event events[64];
        int n = epoll_wait(m->epoll, events, 64, time_to_wait(m));

        for (int i = 0; i < n; i++)
                if (*(enum map_event *)events[i].data.ptr == MAP_EVENT_OUTPUT) {
                        on_output(m, events[i].data.ptr);
                        events[i].data.ptr = &signals_event; /* done */
                }
        for (int i = 0; i < n; i++)
                on_event(m, events[i].data.ptr);
}

static bool has_ended(struct map *m) {
        return m->running == 0 && (m->stopping || (m->input_ended && !m->items->given_back)) &&
               map_groups_are_empty(&m->ending);
}

void map_loop(struct map *m) {
        for (;;) {
                map_start_some(m);
                act_on_signals(m);
                if (has_ended(m))
                        return;
                if (map_signals_count() > 2)
                        return;
                watch_input(m);
                map_progress_show(&m->report.progress);
                wait_for_events(m);
                act_on_signals(m);
        }
}
