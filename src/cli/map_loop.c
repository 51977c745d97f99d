/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "map_command.h"
#include "map_late.h"
#include "map_room.h"
#include "map_schedule.h"
#include "map_terminal.h"

static enum map_event signals_event = MAP_EVENT_SIGNALS, input_event = MAP_EVENT_INPUT;

struct map {
        const struct map_options *options;
        struct fsrv_server *server;
        struct map_setting setting;
        struct map_items *items;
        struct map_signals signals;
        struct map_report report;
        struct map_schedule schedule;
        struct map_job *jobs;
        struct map_room room; /* all 0: not known yet */
        struct map_late late;
        struct map_result *waiting; /* ordered: ended before their turn, by index */
        unsigned long next_shown, running;
        int epoll;
        bool input_polled; /* a pipe, socket or terminal; a regular file is always ready */
        bool input_armed, input_ready, input_ended, stopping;
        unsigned killed; /* signals that were acted upon */
        double kill_at;  /* what still runs; 0: never */
        int exit_code;   /* of our own failure; 0: none */
};

static void stop_with(struct map *m, int code) {
        m->stopping = true;
        if (!m->exit_code)
                m->exit_code = code;
}

/* ---- ending what runs ---- */

static void signal_jobs(struct map *m, int signal) {
        for (unsigned long i = 0; i < m->room.jobs; i++)
                if (m->jobs[i].running)
                        map_job_signal(&m->jobs[i], signal);
}

/* What runs is ended, with time for it if there is a grace. */
static void end_jobs(struct map *m, double grace) {
        if (grace > 0) {
                signal_jobs(m, SIGTERM);
                signal_jobs(m, SIGCONT);
                m->kill_at = map_clock(CLOCK_MONOTONIC) + grace;
        } else {
                signal_jobs(m, SIGKILL);
                m->kill_at = 0;
        }
}

/* ---- results ---- */

/* The lines of the one whose turn it is come out as they come. */
static void let_live(struct map *m, struct map_job *job) {
        if (m->options->line_buffer && job->outputs && (!m->options->ordered || job->item->index == m->next_shown))
                map_report_check(&m->report, map_outputs_set_live(job->outputs));
}

static void let_next_live(struct map *m) {
        for (unsigned long i = 0; m->options->line_buffer && m->options->ordered && i < m->room.jobs; i++)
                if (m->jobs[i].running)
                        let_live(m, &m->jobs[i]);
}

/* What a process that the item left behind still holds stays open. */
static void keep_late(struct map *m, struct map_result *result) {
        if (!result->outputs || !map_outputs_are_open(result->outputs))
                return;
        map_late_add(&m->late, result->outputs);
        result->outputs = NULL;
}

static void show_now(struct map *m, struct map_result *result) {
        map_signals_set_busy(true);
        map_report_result(&m->report, result);
        keep_late(m, result);
        map_result_free(result);
        m->next_shown++;
        let_next_live(m);
        map_signals_set_busy(false);
        if (m->report.broken)
                stop_with(m, CLI_EXIT_OURS);
}

static void show_waiting(struct map *m, bool in_turn) {
        while (m->waiting && (!in_turn || m->waiting->item->index == m->next_shown)) {
                struct map_result *result = m->waiting;
                m->waiting = result->next;
                show_now(m, result);
        }
}

/* With --ungroup items find out for themselves that nobody reads; we end for it as if we had written. */
static void end_if_unread(const struct map *m) {
        if (m->options->ungroup && map_output_is_unread())
                raise(SIGPIPE);
}

static void halt(struct map *m) {
        m->stopping = true;
        if (m->options->halt.now)
                end_jobs(m, m->options->target.kill_after);
}

static void show(struct map *m, struct map_result *result) {
        map_report_count(&m->report, result);
        if (!m->stopping && map_schedule_halts(&m->schedule, m->report.progress.done, m->report.progress.failed))
                halt(m);
        if (map_result_is_failure(result))
                end_if_unread(m);
        if (!m->options->ordered) {
                show_now(m, result);
                return;
        }
        struct map_result **at = &m->waiting;
        while (*at && (*at)->item->index < result->item->index)
                at = &(*at)->next;
        result->next = *at;
        *at = result;
        show_waiting(m, true);
}

static void show_unstarted(struct map *m, struct map_item *item, const struct fsrv_error *error) {
        struct map_result *result = calloc(1, sizeof *result);

        if (!result) {
                cli_complain("map: out of memory");
                map_item_free(item);
                stop_with(m, CLI_EXIT_OURS);
                return;
        }
        *result = (struct map_result){ .item = item, .error = *error };
        result->started = result->ended = map_clock(CLOCK_REALTIME);
        show(m, result);
}

/* ---- starting ---- */

/* Our limit of open files is raised once the server has started: its workers get the one that it found. */
static int get_ready(struct map *m) {
        struct fsrv_error error;

        map_signals_set_busy(true);
        int r = fsrv_server_ensure_running(m->server, &error);
        map_signals_set_busy(false);
        if (r < 0) {
                cli_complain_error(&error);
                return r;
        }
        r = map_room_make(&m->room, m->options->jobs, m->setting.inherited.n);
        m->setting.fd_max = m->room.fd_max;
        return r;
}

/* An item that is too much for now waits for one that runs; one that is too long is its own fault; all else is no
 * single item's. Returns whether another one can be started now. */
static bool on_spawn_error(struct map *m, struct map_item *item, const struct fsrv_error *error) {
        bool at_limit = (error->err == EAGAIN && error->stage == FSRV_STAGE_FORK) || error->stage == FSRV_STAGE_LIMIT;

        if (at_limit && (m->running || m->late.n)) {
                map_late_hand_over(&m->late);
                map_items_give_back(m->items, item);
                return !m->running;
        }
        if (at_limit || error->err == E2BIG) {
                show_unstarted(m, item, error);
                return true;
        }
        cli_complain_error(error);
        map_item_free(item);
        stop_with(m, cli_exit_code_of_error(error));
        return false;
}

static int watch(struct map *m, int fd, enum map_event *kind) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = kind };

        return epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int watch_job(struct map *m, struct map_job *job, int fd) {
        int r = watch(m, fd, &job->event);

        for (int i = 0; i < 2 && r == 0 && job->outputs; i++)
                r = watch(m, job->outputs->of[i].ends[0], &job->outputs->of[i].event);
        return r;
}

static bool start(struct map *m, struct map_item *item) {
        struct map_job *job = m->jobs;
        struct fsrv_error error;

        while (job->running)
                job++;
        job->slot = (unsigned long)(job - m->jobs) + 1;
        if (m->options->verbose) {
                map_progress_clear(&m->report.progress);
                map_say_command(m->options, item, job->slot);
        }
        map_signals_set_busy(true);
        int fd = map_job_start(job, &m->setting, item, &error);
        map_signals_set_busy(false);
        if (fd < 0) {
                return on_spawn_error(m, item, &error);
        }
        item->tries++;
        map_schedule_started(&m->schedule);
        m->running++;
        int r = watch_job(m, job, fd);
        if (r < 0) {
                cli_complain("map: cannot watch a process: %s", strerror(-r));
                job->running = false; /* it is killed when the slot is given up */
                m->running--;
                stop_with(m, CLI_EXIT_OURS);
        } else
                let_live(m, job);
        return true;
}

static bool has_room(const struct map *m) {
        return !m->stopping && m->running < (m->room.jobs ? m->room.jobs : 1) &&
               (!m->options->ordered || !m->room.jobs || m->items->taken - m->next_shown < m->room.ahead);
}

static bool wants_input(const struct map *m) {
        return has_room(m) && !m->input_ended && !m->items->given_back;
}

static void fill_input(struct map *m) {
        if (map_items_fill(m->items) < 0)
                stop_with(m, CLI_EXIT_OURS);
        m->input_ready = !m->input_polled;
}

static void start_some(struct map *m) {
        bool held_back = false; /* the machine takes no more before one of ours has ended */

        while (!held_back && has_room(m) && map_signals_count() == 0 &&
               map_schedule_wait(&m->schedule, m->running) == 0) {
                struct map_item *item;
                int r = map_items_take(m->items, &item);

                if (r == 1 && !m->room.jobs && get_ready(m) < 0) {
                        map_item_free(item);
                        stop_with(m, CLI_EXIT_OURS);
                } else if (r == 1) {
                        held_back = !start(m, item);
                } else if (r == 0 && m->input_ready)
                        fill_input(m);
                else if (r == 0)
                        return;
                else {
                        m->input_ended = true;
                        if (r != -ENODATA)
                                stop_with(m, CLI_EXIT_OURS);
                        return;
                }
        }
}

/* ---- waiting ---- */

static bool wants_retry(const struct map *m, const struct map_result *result) {
        return !m->stopping && map_result_is_failure(result) && map_schedule_retries(&m->schedule, result->item);
}

/* What the failed try printed is not shown, but for what has been shown already. */
static void retry(struct map *m, struct map_result *result) {
        struct map_item *item = result->item;

        keep_late(m, result);
        result->item = NULL;
        map_result_free(result);
        map_items_give_back(m->items, item);
}

static void on_job(struct map *m, struct map_job *job) {
        struct map_result *result;
        int r = job->running ? map_job_finish(job, m->options, &result) : 0;

        if (r == 0)
                return;
        m->running--; /* closing the process has taken it out of the epoll */
        if (r < 0) {
                stop_with(m, CLI_EXIT_OURS);
                return;
        }
        if (result->outputs)
                map_report_check(&m->report, map_outputs_finish(result->outputs));
        if (wants_retry(m, result))
                retry(m, result);
        else
                show(m, result);
}

static void on_output(struct map *m, struct map_output *output) {
        struct map_outputs *both = output->both;

        if (both->live)
                map_progress_clear(&m->report.progress);
        map_signals_set_busy(true);
        map_report_check(&m->report, map_output_read(output));
        map_signals_set_busy(false);
        if (m->report.broken)
                stop_with(m, CLI_EXIT_OURS);
        if (!map_outputs_are_open(both))
                map_late_remove(&m->late, both);
}

/* The first: nothing new. The second: what runs is ended. More: we don't even wait for that. */
static void act_on_signals(struct map *m) {
        unsigned count = (unsigned)map_signals_count();

        if (count > 0)
                m->stopping = true;
        if (count == 1 && m->killed == 0 && m->options->tty) { /* it may have come before the terminal was lent */
                signal_jobs(m, map_signals_first());
                m->killed = 1;
        }
        if (count > 1 && m->killed < count) {
                end_jobs(m, m->options->target.kill_after);
                m->killed = count;
        }
        if (m->kill_at && map_clock(CLOCK_MONOTONIC) >= m->kill_at)
                end_jobs(m, 0);
}

/* Watched only while we could use an item, so that whoever feeds us is held back. Once each time: a pipe that hung up
 * would wake us without end, also while we only wait for processes. */
static void watch_input(struct map *m) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.ptr = &input_event };

        if (!m->input_polled || m->input_armed || m->input_ready || !wants_input(m))
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
        const double longest = 60;
        double left = m->report.progress.with_line ? 0.2 : longest;
        double start = has_room(m) ? map_schedule_wait(&m->schedule, m->running) : 0;

        if (start > 0)
                left = smaller(left, start);
        if (m->kill_at)
                left = smaller(left, m->kill_at - map_clock(CLOCK_MONOTONIC));
        return left == longest ? -1 : left < 0 ? 0 : (int)(left * 1000) + 1;
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

static void loop(struct map *m) {
        for (;;) {
                start_some(m);
                act_on_signals(m);
                if (m->running == 0 && (m->stopping || (m->input_ended && !m->items->given_back)))
                        return;
                if (map_signals_count() > 2)
                        return;
                watch_input(m);
                map_progress_show(&m->report.progress);
                wait_for_events(m);
                act_on_signals(m);
        }
}

/* ---- setting up ---- */

/* Opened once: a process whose request opens files costs a fork more. */
static int open_nothing(void) {
        int ends[2], fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (fd >= 0 || pipe2(ends, O_CLOEXEC) < 0)
                return fd;
        close(ends[1]); /* a pipe without a writer has nothing in it as well */
        return ends[0];
}

static int set_up(struct map *m) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = &signals_event };

        if (cli_inherited_collect(&m->setting.inherited) < 0) {
                cli_complain("map: out of memory");
                return -1;
        }
        if (map_signals_init(&m->signals, m->options->jobs) < 0 || map_report_init(&m->report, m->options) < 0 ||
            map_schedule_init(&m->schedule, m->options) < 0)
                return -1;
        map_progress_set_items(&m->report.progress, m->items);
        m->epoll = m->late.epoll = epoll_create1(EPOLL_CLOEXEC);
        m->jobs = calloc(m->options->jobs, sizeof *m->jobs);
        for (unsigned long i = 0; m->jobs && i < m->options->jobs; i++)
                m->jobs[i].event = MAP_EVENT_JOB;
        if (m->epoll < 0 || !m->jobs || epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->signals.fd, &event) < 0) {
                cli_complain("map: cannot set up: %s", strerror(errno));
                return -1;
        }
        event = (struct epoll_event){ .events = EPOLLONESHOT, .data.ptr = &input_event };
        m->input_polled =
                epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->items->input.fd, &event) == 0; /* EPERM: a regular file */
        m->input_ready = !m->input_polled;
        if (cli_target_open(&m->options->target, &m->server) < 0)
                return -1;
        m->setting.options = m->options;
        m->setting.signals = &m->signals;
        m->setting.server = m->server;
        m->setting.null = m->options->tty ? map_terminal_open() : open_nothing();
        if (m->setting.null < 0 && !m->options->tty)
                cli_complain("map: cannot open %s: %s", "/dev/null", strerror(errno));
        return m->setting.null < 0 ? -1 : 0;
}

static void tear_down(struct map *m) {
        for (unsigned long i = 0; m->jobs && i < m->room.jobs; i++)
                map_job_done(&m->jobs[i]);
        free(m->jobs);
        fsrv_server_free(m->server);
        map_signals_done(&m->signals);
        map_late_hand_over(&m->late);
        cli_inherited_done(&m->setting.inherited);
        if (m->epoll >= 0)
                close(m->epoll);
        if (m->setting.null >= 0)
                close(m->setting.null);
}

int map_run(const struct map_options *options, struct map_items *items) {
        struct map m = { .options = options, .items = items, .epoll = -1, .signals.fd = -1, .setting.null = -1 };

        if (set_up(&m) < 0)
                m.exit_code = CLI_EXIT_OURS;
        else {
                loop(&m);
                show_waiting(&m, false); /* what had to wait for one that never came */
                if (map_report_done(&m.report) < 0)
                        stop_with(&m, CLI_EXIT_OURS);
        }
        tear_down(&m);
        if (map_signals_count())
                return cli_die_by(map_signals_first());
        if (m.exit_code)
                return m.exit_code;
        return m.report.progress.failed ? CLI_EXIT_ITEMS_FAILED : 0;
}
