/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- slots ---- */

/* A new file at the number that the slot's request knows, if the last one was written to: something that the old item
 * left behind may still write to it. */
static int renew_file(int *fd) {
        if (*fd >= 0 && lseek(*fd, 0, SEEK_CUR) == 0)
                return 0;
        int fresh = map_output_new();
        if (fresh < 0)
                return fresh;
        if (*fd < 0) {
                *fd = fresh;
                return 0;
        }
        int r = dup3(fresh, *fd, O_CLOEXEC) < 0 ? -errno : 0;
        close(fresh);
        return r;
}

static int describe(struct map_job *job, const struct map_options *options, const struct map_signals *signals) {
        struct fsrv_request *request = job->request;
        int r = options->target.entry ? fsrv_request_set_entry(request, options->target.entry)
                                      : fsrv_request_set_program(request, options->args[0]);

        /* A group of its own: the first ^C is for us, who let running items finish. */
        if (r < 0 || (r = fsrv_request_set_process_group(request, 0)) < 0 ||
            (r = fsrv_request_set_signal_mask(request, &signals->mask)) < 0 ||
            (r = fsrv_request_set_signals_ignored(request, &signals->ignored)) < 0 ||
            (r = fsrv_request_set_flags(request, FSRV_SPAWN_KILL_ON_CLOSE)) < 0 ||
            (r = fsrv_request_set_time_limit(request, cli_milliseconds(options->target.timeout), 0)) < 0 ||
            (r = fsrv_request_add_open(request, STDIN_FILENO, "/dev/null", O_RDONLY, 0)) < 0)
                return r;
        for (int i = 0; i < 2 && !options->ungroup; i++)
                if ((r = fsrv_request_add_dup2(request, job->files[i], STDOUT_FILENO + i)) < 0)
                        return r;
        return 0;
}

/* What is the same for all items of the slot is said once. */
static int prepare_slot(struct map_job *job, const struct map_options *options, const struct map_signals *signals) {
        bool first = !job->request;
        int r;

        if (first) {
                job->files[0] = job->files[1] = -1;
                if ((r = fsrv_request_new(&job->request)) < 0)
                        return r;
        }
        for (int i = 0; i < 2 && !options->ungroup; i++)
                if ((r = renew_file(&job->files[i])) < 0)
                        return r;
        return first ? describe(job, options, signals) : 0;
}

void map_job_done(struct map_job *job) {
        if (!job->request)
                return;
        fsrv_process_unref(job->process);
        fsrv_request_free(job->request);
        for (int i = 0; i < 2; i++)
                if (job->files[i] >= 0)
                        close(job->files[i]);
        map_item_free(job->item);
}

int map_job_start(struct map_job *job, struct fsrv_server *server, const struct map_options *options,
                  const struct map_signals *signals, struct map_item *item, struct fsrv_error *error) {
        int r = prepare_slot(job, options, signals);

        if (r < 0)
                return cli_fail(error, FSRV_STAGE_ARGUMENT, -r, "cannot prepare a process");
        char **list = map_arguments(options, item, job->slot);
        r = list ? fsrv_request_set_argv(job->request, (const char *const *)list) : -ENOMEM;
        free(list);
        if (r < 0)
                return cli_fail(error, FSRV_STAGE_ARGUMENT, -r, "the arguments");
        job->started = map_clock(CLOCK_REALTIME);
        r = fsrv_spawn(server, job->request, &job->process, error);
        if (r < 0)
                return r;
        r = fsrv_process_get_poll_fd(job->process);
        if (r < 0) {
                job->process = fsrv_process_unref(job->process); /* which kills it */
                return cli_fail(error, FSRV_STAGE_STATUS, -r, "cannot watch the process");
        }
        job->item = item;
        job->running = true;
        return r;
}

void map_job_kill(struct map_job *job) {
        /* The terminal's ^C, which would have reached its children too, doesn't get to a group of its own. */
        kill(-fsrv_process_get_pid(job->process), SIGKILL);
        fsrv_process_kill(job->process, SIGKILL);
}

/* ---- results ---- */

/* The result gets files of its own, for it may have to wait for its turn; empty ones stay with the slot. */
static int take_file(int fd, int *ret_fd) {
        if (fd < 0 || lseek(fd, 0, SEEK_END) <= 0)
                return 0;
        int taken = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (taken < 0) {
                int err = errno;
                cli_complain("map: cannot keep an output: %s", strerror(err));
                return -err;
        }
        *ret_fd = taken;
        return 0;
}

int map_job_finish(struct map_job *job, struct map_result **ret_result) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error;

        int r = fsrv_process_wait(job->process, 0, &status, &error);
        if (r == -ETIMEDOUT)
                return 0;
        struct map_result *result = calloc(1, sizeof *result);
        if (!result) {
                cli_complain("map: out of memory");
                return -ENOMEM;
        }
        *result = (struct map_result){
                .item = job->item,
                .files = { -1, -1 },
                .started = job->started,
                .ended = map_clock(CLOCK_REALTIME),
                .pid = fsrv_process_get_pid(job->process),
                .has_status = r == 0,
        };
        if (r == 0)
                result->status = status;
        else
                result->error = error;
        job->process = fsrv_process_unref(job->process);
        job->item = NULL;
        job->running = false;
        for (int i = 0; i < 2; i++)
                if ((r = take_file(job->files[i], &result->files[i])) < 0) {
                        map_result_free(result);
                        return r;
                }
        *ret_result = result;
        return 1;
}

bool map_result_is_failure(const struct map_result *result) {
        return !result->has_status || result->status.exit_code != 0;
}

void map_result_free(struct map_result *result) {
        for (int i = 0; i < 2; i++)
                if (result->files[i] >= 0)
                        close(result->files[i]);
        map_item_free(result->item);
        free(result);
}

double map_clock(clockid_t clock) {
        struct timespec ts;

        clock_gettime(clock, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}
