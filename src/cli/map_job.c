/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"
#include "map_stdin.h"
#include "map_terminal.h"
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint32_t spawn_flags(const struct map_options *options) {
        return FSRV_SPAWN_KILL_ON_CLOSE | FSRV_SPAWN_TELL_STOPS |
               (options->target.quick_exit ? FSRV_SPAWN_QUICK_EXIT : 0) | (options->result ? FSRV_SPAWN_RESULT : 0);
}

/* `input`: for its standard input, or the payload. */
static int fill_request(struct fsrv_request *request, const struct map_setting *setting,
                        const struct map_outputs *outputs, int input) {
        const struct map_options *options = setting->options;
        int r = options->target.entry ? fsrv_request_set_entry(request, options->target.entry)
                                      : fsrv_request_set_program(request, options->args[0]);

        /* What our caller left open first: standard streams that were closed for us get something else here. A group of
         * its own: the first ^C is for us, and we let running items finish. */
        if (r < 0 || (r = cli_inherited_pass_on(&setting->inherited, request)) < 0 ||
            (r = fsrv_request_set_process_group(request, 0)) < 0 ||
            (r = fsrv_request_set_umask(request, setting->umask)) < 0 ||
            (r = fsrv_request_set_signal_mask(request, &setting->signals->mask)) < 0 ||
            (r = fsrv_request_set_signals_ignored(request, &setting->signals->ignored)) < 0 ||
            (r = fsrv_request_set_flags(request, spawn_flags(options))) < 0 ||
            (r = fsrv_request_set_time_limit(request, cli_milliseconds(options->target.timeout),
                                             cli_milliseconds(options->target.kill_after))) < 0 ||
            (r = fsrv_request_set_sandbox(request, options->target.sandbox.sandbox)) < 0 ||
            (options->to_payload && (r = fsrv_request_set_payload_fd(request, input)) < 0) ||
            (r = fsrv_request_add_dup2(request, options->to_payload ? setting->null : input, STDIN_FILENO)) < 0)
                return r;
        for (int i = 0; i < 2 && outputs; i++)
                if ((r = fsrv_request_add_dup2(request, outputs->of[i].ends[1], STDOUT_FILENO + i)) < 0)
                        return r;
        return 0;
}

static int set_arguments(struct fsrv_request *request, const struct map_options *options, const struct map_job *job) {
        char **list = map_arguments(options, job->item, job->slot);
        int r = list ? fsrv_request_set_argv(request, (const char *const *)list) : -ENOMEM;

        free(list);
        return r;
}

static int spawn(struct map_job *job, const struct map_setting *setting, int input, struct fsrv_error *error) {
        struct fsrv_request *request;
        int r = fsrv_request_new(&request);

        if (r < 0)
                return cli_fail(error, FSRV_STAGE_ARGUMENT, -r, "cannot prepare a process");
        r = fill_request(request, setting, job->outputs, input);
        if (r < 0)
                r = cli_fail(error, FSRV_STAGE_ARGUMENT, -r, "cannot prepare a process");
        else if ((r = set_arguments(request, setting->options, job)) < 0)
                r = cli_fail(error, FSRV_STAGE_ARGUMENT, -r, "the arguments");
        else if ((r = cli_attributes_set(&setting->options->target.attributes, request, error)) == 0)
                r = fsrv_spawn(setting->server, request, &job->process, error);
        fsrv_request_free(request);
        if (r < 0)
                return r;
        r = fsrv_process_get_poll_fd(job->process);
        return r < 0 ? cli_fail(error, FSRV_STAGE_STATUS, -r, "cannot watch the process") : r;
}

static int spawn_with_input(struct map_job *job, const struct map_setting *setting, struct fsrv_error *error) {
        if (!setting->options->is_read)
                return spawn(job, setting, setting->null, error);
        int input = map_stdin_new(setting->options, job->item);
        if (input < 0)
                return cli_fail(error, FSRV_STAGE_LIMIT, -input, "cannot keep what the process reads");
        int r = spawn(job, setting, input, error);
        close(input);
        return r;
}

int map_job_start(struct map_job *job, const struct map_setting *setting, struct map_item *item,
                  struct fsrv_error *error) {
        const struct map_options *options = setting->options;
        int r = 0;

        if (!options->ungroup)
                r = map_outputs_new(options->tag ? item->text : NULL, setting->fd_max, &job->outputs);
        if (r < 0)
                return cli_fail(error, FSRV_STAGE_LIMIT, -r, "cannot make pipes for the output");
        job->item = item;
        job->stopped = false;
        job->started = map_clock(CLOCK_REALTIME);
        job->asked = cli_trace_now();
        map_signals_hold_stops(true);
        r = spawn_with_input(job, setting, error);
        job->began = cli_trace_now();
        if (r >= 0)
                map_signals_set_group(job->slot - 1, cli_own_number(job->process, &setting->options->target));
        map_signals_hold_stops(false);
        if (r >= 0 && options->tty)
                map_terminal_lend(job);
        if (r < 0) {
                job->item = NULL;
                map_job_done(job);
        }
        job->running = r >= 0;
        return r;
}

void map_job_done(struct map_job *job) {
        job->process = fsrv_process_unref(job->process); /* which kills it */
        map_outputs_free(job->outputs);
        job->outputs = NULL;
        map_item_free(job->item);
        job->item = NULL;
}

void map_job_signal(struct map_job *job, int signal) {
        fsrv_process_kill_group(job->process, signal);
}

/* ---- results ---- */

/* A process that wants the terminal would wait for it for ever: it is in the background, and no shell's job. */
static void on_stop(struct map_job *job, const struct map_options *options, int signal) {
        if (options->tty)
                map_terminal_on_stop(job, signal);
        else if (signal == SIGTTIN || signal == SIGTTOU) {
                job->stopped = true;
                map_job_signal(job, SIGKILL);
        }
}

/* How a process died, or that it exited with another code than 0, is told by its status. */
static void keep_result(const struct map_job *job, const struct map_setting *setting, struct map_result *result) {
        struct fsrv_result given = { .size = sizeof given };
        int r = fsrv_process_get_result(job->process, &given, &result->error);

        if (r == 0)
                r = map_results_keep(setting->results, job->item, &given, &result->error);
        result->failure = given.code;
        result->has_failed = r == -EREMOTEIO || (r < 0 && result->status.exit_code == 0);
        fsrv_result_free(&given);
}

int map_job_finish(struct map_job *job, const struct map_setting *setting, struct map_result **ret_result) {
        const struct map_options *options = setting->options;
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error;

        int r;
        while ((r = fsrv_process_wait(job->process, 0, &status, &error)) == 1)
                if (status.flags & FSRV_STATUS_STOPPED)
                        on_stop(job, options, status.signal);
        if (r == -ETIMEDOUT)
                return 0;
        map_signals_set_group(job->slot - 1, 0);
        if (options->tty)
                map_terminal_take_back(r == 0 ? status.signal : 0);
        struct map_result *result = calloc(1, sizeof *result);
        if (!result) {
                cli_complain("map: out of memory");
                return -ENOMEM;
        }
        *result = (struct map_result){
                .item = job->item,
                .outputs = job->outputs,
                .started = job->started,
                .ended = map_clock(CLOCK_REALTIME),
                .pid = fsrv_process_get_pid(job->process),
                .has_status = r == 0,
                .stopped = job->stopped,
        };
        if (r == 0)
                result->status = status;
        else
                result->error = error;
        if (r == 0 && options->result)
                keep_result(job, setting, result);
        job->process = fsrv_process_unref(job->process);
        job->outputs = NULL;
        job->item = NULL;
        job->running = false;
        *ret_result = result;
        return 1;
}

int map_result_lost(const struct map_result *result) {
        const struct map_outputs *outputs = result->outputs;

        if (!outputs)
                return 0;
        return outputs->of[0].lost ? outputs->of[0].lost : outputs->of[1].lost;
}

bool map_result_is_failure(const struct map_result *result) {
        return !result->has_status || result->has_failed || result->status.exit_code != 0 ||
               result->status.flags & FSRV_STATUS_TIMED_OUT || map_result_lost(result);
}

void map_result_free(struct map_result *result) {
        map_outputs_free(result->outputs);
        map_item_free(result->item);
        free(result);
}

double map_clock(clockid_t clock) {
        struct timespec ts;

        clock_gettime(clock, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}
