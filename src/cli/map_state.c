/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_state.h"

#include <time.h>

void map_stop_with(struct map *m, int code) {
        m->stopping = true;
        if (!m->exit_code)
                m->exit_code = code;
}

void map_signal_jobs(struct map *m, int signal) {
        for (unsigned long i = 0; i < m->room.jobs; i++)
                if (m->jobs[i].running)
                        map_job_signal(&m->jobs[i], signal);
}

void map_end_jobs(struct map *m, double grace) {
        if (grace > 0) {
                for (unsigned long i = 0; i < m->room.jobs && !m->kill_at; i++)
                        if (m->jobs[i].running)
                                map_groups_add(&m->ending, fsrv_process_get_pidfd(m->jobs[i].process),
                                               fsrv_process_get_pid(m->jobs[i].process));
                map_signal_jobs(m, SIGTERM);
                map_signal_jobs(m, SIGCONT);
                m->kill_at = map_clock(CLOCK_MONOTONIC) + grace;
        } else {
                map_signal_jobs(m, SIGKILL);
                map_groups_kill(&m->ending);
                m->kill_at = 0;
        }
}
