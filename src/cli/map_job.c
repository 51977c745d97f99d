/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- where an item's output waits: in files, so that memory stays bounded ---- */

static int new_file(void) {
        const char *directory = getenv("TMPDIR");
        char path[4096];

        if (!directory || !directory[0] || strlen(directory) > sizeof path - 32)
                directory = "/tmp";
        int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
                return fd < 0 ? -errno : fd;
        snprintf(path, sizeof path, "%s/forkserver-XXXXXX", directory);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        unlink(path);
        return fd;
}

/* A new file at the number that the slot's request knows, if the last one was written to or given away: something that the
 * old item left behind may still write to it. */
static int renew_file(int *fd) {
        if (*fd >= 0 && lseek(*fd, 0, SEEK_CUR) == 0)
                return 0;
        int fresh = new_file();
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

/* ---- arguments ---- */

static bool has_place(const char *arg) {
        return strstr(arg, "{}") != NULL;
}

static size_t filled_size(const char *arg, size_t item) {
        size_t size = strlen(arg) + 1;

        for (const char *c = arg; (c = strstr(c, "{}")); c += 2)
                size += item;
        return size;
}

static char *fill(char *at, const char *arg, const char *item, size_t n) {
        const char *place;

        while ((place = strstr(arg, "{}"))) {
                at = mempcpy(at, arg, (size_t)(place - arg));
                at = mempcpy(at, item, n);
                arg = place + 2;
        }
        return stpcpy(at, arg) + 1;
}

char **map_arguments(const struct map_options *options, const char *item) {
        size_t n = 0, item_size = strlen(item), size = 0;

        for (; options->args[n]; n++)
                size += filled_size(options->args[n], item_size);
        char **list = malloc((n + 3) * sizeof *list + size);
        if (!list)
                return NULL;
        char *at = (char *)(list + n + 3);
        size_t k = 0;
        if (options->target.entry)
                list[k++] = (char *)options->target.entry;
        for (size_t i = 0; i < n; i++) {
                list[k++] = at;
                /* the program's own name stays as it is */
                bool literal = i == 0 && !options->target.entry;
                at = literal || !has_place(options->args[i]) ? stpcpy(at, options->args[i]) + 1
                                                             : fill(at, options->args[i], item, item_size);
        }
        if (!options->has_place)
                list[k++] = (char *)item;
        list[k] = NULL;
        return list;
}

/* ---- slots ---- */

static int make_request(struct map_job *job, const struct map_options *options, const struct map_signals *signals) {
        struct fsrv_request *request;
        int r = fsrv_request_new(&request);

        if (r < 0)
                return r;
        job->request = request;
        r = options->target.entry ? fsrv_request_set_entry(request, options->target.entry)
                                  : fsrv_request_set_program(request, options->args[0]);
        /* A group of its own: the first ^C is for us, who let running items finish. */
        if (r < 0 || (r = fsrv_request_set_process_group(request, 0)) < 0 ||
            (r = fsrv_request_set_signal_mask(request, &signals->mask)) < 0 ||
            (r = fsrv_request_set_signals_ignored(request, &signals->ignored)) < 0 ||
            (r = fsrv_request_set_flags(request, FSRV_SPAWN_KILL_ON_CLOSE)) < 0 ||
            (r = fsrv_request_set_time_limit(request, cli_milliseconds(options->target.timeout))) < 0 ||
            (r = fsrv_request_add_open(request, STDIN_FILENO, "/dev/null", O_RDONLY, 0)) < 0)
                return r;
        for (int i = 0; i < 2 && !options->ungroup; i++)
                if ((r = renew_file(&job->files[i])) < 0 ||
                    (r = fsrv_request_add_dup2(request, job->files[i], STDOUT_FILENO + i)) < 0)
                        return r;
        return 0;
}

int map_job_init(struct map_job *job, const struct map_options *options, const struct map_signals *signals) {
        *job = (struct map_job){ .files = { -1, -1 } };
        int r = make_request(job, options, signals);
        if (r == -EINVAL && options->target.entry)
                cli_complain("map: '%s' is no entry point: MODULE:FUNCTION is wanted", options->target.entry);
        else if (r < 0)
                cli_complain("map: cannot make files for output: %s", strerror(-r));
        return r;
}

void map_job_done(struct map_job *job) {
        fsrv_process_unref(job->process);
        fsrv_request_free(job->request);
        for (int i = 0; i < 2; i++)
                if (job->files[i] >= 0)
                        close(job->files[i]);
        free(job->item);
}

static int prepare(struct map_job *job, const struct map_options *options, const char *item, struct fsrv_error *error) {
        for (int i = 0; i < 2 && !options->ungroup; i++) {
                int r = renew_file(&job->files[i]);
                if (r < 0)
                        return cli_fail(error, FSRV_STAGE_OPEN, -r, "a file for output");
        }
        char **list = map_arguments(options, item);
        int r = list ? fsrv_request_set_argv(job->request, (const char *const *)list) : -ENOMEM;
        free(list);
        return r < 0 ? cli_fail(error, FSRV_STAGE_ARGUMENT, -r, "the arguments") : 0;
}

int map_job_start(struct map_job *job, struct fsrv_server *server, const struct map_options *options, char *item,
                  struct fsrv_error *error) {
        int r = prepare(job, options, item, error);

        if (r < 0)
                return r;
        job->started = map_clock();
        r = fsrv_spawn(server, job->request, &job->process, error);
        if (r < 0)
                return r;
        job->item = item;
        job->running = true;
        return 0;
}

/* The result gets files of its own, for it may have to wait for its turn; empty ones stay with the slot. */
static int take_file(int *fd) {
        if (*fd < 0 || lseek(*fd, 0, SEEK_END) <= 0)
                return -1;
        return fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

int map_job_finish(struct map_job *job, struct map_result **ret_result) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error;

        int r = fsrv_process_wait(job->process, 0, &status, &error);
        if (r == -ETIMEDOUT)
                return 0;
        struct map_result *result = calloc(1, sizeof *result);
        if (!result)
                return -ENOMEM;
        result->index = job->index;
        result->item = job->item;
        result->started = job->started;
        result->ended = map_clock();
        result->pid = fsrv_process_get_pid(job->process);
        result->has_status = r == 0;
        if (r == 0)
                result->status = status;
        else
                result->error = error;
        for (int i = 0; i < 2; i++)
                result->files[i] = take_file(&job->files[i]);
        job->process = fsrv_process_unref(job->process);
        job->item = NULL;
        job->running = false;
        *ret_result = result;
        return 1;
}
