/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "map_terminal.h"

/* They are opened once: a request that opens files gets no loan, and costs a fork more. */
static int open_nothing(void) {
        int ends[2], fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (fd >= 0 || pipe2(ends, O_CLOEXEC) < 0)
                return fd;
        close(ends[1]); /* a pipe without a writer has nothing in it as well */
        return ends[0];
}

static int set_up(struct map *m) {
        if (cli_inherited_collect(&m->setting.inherited) < 0) {
                cli_complain("map: out of memory");
                return -1;
        }
        if (map_signals_init(&m->signals, m->options->jobs) < 0 || map_report_init(&m->report, m->options) < 0 ||
            cli_trace_open(&m->trace, m->options->target.trace) < 0 || map_schedule_init(&m->schedule, m->options) < 0)
                return -1;
        map_progress_set_items(&m->report.progress, m->items);
        m->jobs = calloc(m->options->jobs, sizeof *m->jobs);
        for (unsigned long i = 0; m->jobs && i < m->options->jobs; i++)
                m->jobs[i].event = MAP_EVENT_JOB;
        int r = m->jobs ? map_loop_init(m) : -ENOMEM;
        if (r < 0) {
                cli_complain("map: cannot set up: %s", strerror(-r));
                return -1;
        }
        if (map_results_open(&m->results, m->options->result) < 0 ||
            cli_target_open(&m->options->target, &m->server) < 0)
                return -1;
        m->setting.umask = umask(0);
        umask(m->setting.umask);
        m->setting.options = m->options;
        m->setting.signals = &m->signals;
        m->setting.server = m->server;
        m->setting.results = m->items->results = &m->results;
        m->setting.null = m->options->tty ? map_terminal_open() : open_nothing();
        if (m->setting.null < 0 && !m->options->tty)
                cli_complain("map: cannot open %s: %s", "/dev/null", strerror(errno));
        return m->setting.null < 0 ? -1 : 0;
}

static void tear_down(struct map *m) {
        for (unsigned long i = 0; m->jobs && i < m->room.jobs; i++)
                map_job_done(&m->jobs[i]);
        free(m->jobs);
        map_groups_kill(&m->ending);
        fsrv_server_free(m->server);
        map_signals_done(&m->signals);
        map_late_hand_over(&m->late);
        map_results_done(&m->results);
        cli_inherited_done(&m->setting.inherited);
        if (m->epoll >= 0)
                close(m->epoll);
        if (m->setting.null >= 0)
                close(m->setting.null);
}

int map_run(const struct map_options *options, struct map_items *items) {
        struct map m = {
                .options = options, .items = items, .epoll = -1, .trace.fd = -1, .signals.fd = -1, .setting.null = -1
        };

        if (set_up(&m) < 0)
                m.exit_code = CLI_EXIT_OURS;
        else {
                map_loop(&m);
                map_show_rest(&m);
                if (map_report_done(&m.report) < 0)
                        map_stop_with(&m, CLI_EXIT_OURS);
        }
        if (cli_trace_done(&m.trace) < 0)
                map_stop_with(&m, CLI_EXIT_OURS);
        tear_down(&m);
        if (map_signals_count())
                return cli_die_by(map_signals_first());
        if (m.exit_code)
                return m.exit_code;
        return m.report.progress.failed ? CLI_EXIT_ITEMS_FAILED : 0;
}
