/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_state.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "map_command.h"
#include "text.h"

/* Our limit of open files is raised once the server has started: its workers get the one that it found. */
static int get_ready(struct map *m) {
        struct fsrv_error error;

        map_signals_set_busy(true);
        int r = cli_trace_server(&m->trace, m->server, &error);
        if (r >= 0)
                r = fsrv_server_ensure_running(m->server, &error);
        map_signals_set_busy(false);
        if (r < 0) {
                cli_complain_error(&error);
                return r;
        }
        r = map_room_make(&m->room, m->options->jobs, m->setting.inherited.n);
        m->setting.fd_max = m->room.fd_max;
        return r;
}

/* Not of a lack of files (EMFILE), which is for a while: what items left behind, or results that wait, have them. */
static void complain_of_fewer(struct map *m, const struct fsrv_error *error) {
        char text[FSRV_ERROR_TEXT_SIZE];

        if (m->has_said_fewer || m->options->jobs == MAP_JOBS_MAX || error->err != EAGAIN)
                return;
        m->has_said_fewer = true;
        cli_harmless(text, sizeof text, error->text);
        cli_complain("map: %lu processes at a time, not %lu: %s", m->running, m->room.jobs, text);
}

/* An item that is too much for now waits for one that runs; one that is too long is its own fault; all else is no
 * single item's. Returns whether another one can be started now. */
static bool on_spawn_error(struct map *m, struct map_item *item, const struct fsrv_error *error) {
        bool at_limit = (error->err == EAGAIN && error->stage == FSRV_STAGE_FORK) || error->stage == FSRV_STAGE_LIMIT;

        if (at_limit && (m->running || m->late.n)) {
                map_late_hand_over(&m->late);
                map_items_give_back(m->items, item);
                if (m->running)
                        complain_of_fewer(m, error);
                return !m->running;
        }
        if (at_limit || error->err == E2BIG) {
                map_show_unstarted(m, item, error);
                return true;
        }
        cli_complain_error(error);
        map_stop_with(m, cli_exit_code_of_error(error));
        map_show_failed(m, item);
        return false;
}

static int watch(struct map *m, int fd, enum map_event *kind) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = kind };

        return epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int watch_job(struct map *m, struct map_job *job, int fd) {
        int r = watch(m, fd, &job->event);

        if (job->outputs)
                job->outputs->epoll = m->epoll;
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
                map_trace(m, job, item, NULL, &error);
                return on_spawn_error(m, item, &error);
        }
        item->tries++;
        map_forget_try(m, item);
        map_schedule_started(&m->schedule);
        m->running++;
        int r = watch_job(m, job, fd);
        if (r < 0) {
                cli_complain("map: cannot watch a process: %s", strerror(-r));
                job->running = false; /* it is killed when the slot is given up */
                m->running--;
                map_stop_with(m, CLI_EXIT_OURS);
        } else
                map_let_live(m, job);
        return true;
}

/* An item that was given back has its turn already: others may be ahead of it. */
static bool is_too_far_ahead(const struct map *m) {
        return m->options->ordered && m->room.jobs && !m->items->given_back &&
               m->items->taken - m->next_shown >= m->room.ahead;
}

bool map_has_room(const struct map *m) {
        return !m->stopping && m->running < (m->room.jobs ? m->room.jobs : 1) && !is_too_far_ahead(m);
}

bool map_wants_input(const struct map *m) {
        return map_has_room(m) && !m->input_ended && !m->items->given_back;
}

static void fill_input(struct map *m) {
        if (map_items_fill(m->items) < 0)
                map_stop_with(m, CLI_EXIT_OURS);
        m->input_ready = !m->input_polled;
}

void map_start_some(struct map *m) {
        bool held_back = false; /* the machine takes no more before one of ours has ended */

        while (!held_back && map_has_room(m) && map_signals_count() == 0 &&
               map_schedule_wait(&m->schedule, m->running) == 0) {
                struct map_item *item;
                int r = map_items_take(m->items, &item);

                if (r == 1 && !m->room.jobs && get_ready(m) < 0) {
                        map_item_free(item);
                        map_stop_with(m, CLI_EXIT_OURS);
                } else if (r == 1) {
                        held_back = !start(m, item);
                } else if (r == 0 && m->input_ready)
                        fill_input(m);
                else if (r == 0)
                        return;
                else {
                        m->input_ended = true;
                        if (r != -ENODATA)
                                map_stop_with(m, CLI_EXIT_OURS);
                        return;
                }
        }
}
