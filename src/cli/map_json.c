/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* ---- opening ---- */

/* Where the last whole line ends. */
static off_t end_of_lines(int fd, off_t size) {
        char bytes[4096];

        while (size > 0) {
                off_t from = size > (off_t)sizeof bytes ? size - (off_t)sizeof bytes : 0;
                ssize_t n = pread(fd, bytes, (size_t)(size - from), from);
                if (n <= 0)
                        return n < 0 ? -1 : 0;
                const char *newline = memrchr(bytes, '\n', (size_t)n);
                if (newline)
                        return from + (newline + 1 - bytes);
                size = from;
        }
        return 0;
}

static FILE *open_behind(const char *path) {
        FILE *file = fopen(path, "a+e");

        if (!file)
                return NULL;
        off_t size = lseek(fileno(file), 0, SEEK_END); /* fails for a pipe, of which nothing can be torn */
        off_t end = size > 0 ? end_of_lines(fileno(file), size) : size;
        if (end < size && (end < 0 || ftruncate(fileno(file), end) < 0)) {
                int err = errno;
                fclose(file);
                errno = err;
                return NULL;
        }
        return file;
}

static FILE *take_standard_output(void) {
        int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

        if (fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
                return NULL;
        return fdopen(fd, "w");
}

static FILE *open_report(const struct map_options *options) {
        if (strcmp(options->json, "-") == 0)
                return take_standard_output();
        return options->resume ? open_behind(options->json) : fopen(options->json, "we");
}

int map_json_open(const struct map_options *options, FILE **ret_file) {
        FILE *file = open_report(options);

        if (!file) {
                int err = errno;
                cli_complain("map: cannot write %s: %s", options->json, strerror(err));
                return -err;
        }
        *ret_file = file;
        return 0;
}

/* ---- writing ---- */

static double seconds(const struct timeval *time) {
        return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void json_status(FILE *out, const struct fsrv_status *status) {
        const struct rusage *usage = &status->rusage;

        if (status->signal)
                fprintf(out, "\"status\": null, \"signal\": %d", status->signal);
        else
                fprintf(out, "\"status\": %d, \"signal\": null", status->exit_code);
        if (status->flags & FSRV_STATUS_TIMED_OUT)
                fputs(", \"timed_out\": true", out);
        if (status->refused > 0)
                fprintf(out, ", \"refused\": {\"count\": %u, \"first\": \"%s\"}", status->refused,
                        fsrv_syscall_name(status->refused_call));
        fprintf(out, ", \"rusage\": {\"utime\": %.6f, \"stime\": %.6f", seconds(&usage->ru_utime),
                seconds(&usage->ru_stime));
        fprintf(out, ", \"maxrss\": %ld, \"minflt\": %ld, \"majflt\": %ld}", usage->ru_maxrss, usage->ru_minflt,
                usage->ru_majflt);
}

static void json_lost(FILE *out, int err) {
        if (!err)
                return;
        fprintf(out, ", \"lost\": {\"errno\": %d, \"text\": ", err);
        cli_json_string(out, strerror(err));
        fputc('}', out);
}

/* code: a failure's own; 0: it has none. */
static void json_error(FILE *out, const char *name, const struct fsrv_error *error, int code) {
        fprintf(out, "\"%s\": {\"stage\": \"%s\", \"errno\": %d, ", name, fsrv_stage_name(error->stage), error->err);
        if (code != 0)
                fprintf(out, "\"code\": %d, ", code);
        fputs("\"text\": ", out);
        cli_json_string(out, error->text);
        fputc('}', out);
}

/* One item is a string, several are a list, also where the last process got one alone. */
static void json_item(FILE *out, const struct map_options *options, const struct map_item *item) {
        if (!map_options_has_lists(options)) {
                fputs("{\"item\": ", out);
                cli_json_string(out, item->text);
                return;
        }
        fputs("{\"items\": [", out);
        for (size_t i = 0; i < item->n_values; i++) {
                fputs(i ? ", " : "", out);
                cli_json_string(out, item->values[i]);
        }
        fputc(']', out);
}

void map_json_write(FILE *out, const struct map_options *options, const struct map_result *result) {
        json_item(out, options, result->item);
        if (result->pid)
                fprintf(out, ", \"pid\": %d, ", (int)result->pid);
        else
                fputs(", \"pid\": null, ", out);
        if (result->has_status)
                json_status(out, &result->status);
        else {
                fputs("\"status\": null, \"signal\": null, ", out);
                json_error(out, "error", &result->error, 0);
        }
        if (result->has_failed) {
                fputs(", ", out);
                json_error(out, "no_result", &result->error, result->failure);
        }
        json_lost(out, map_result_lost(result));
        if (options->tries > 1)
                fprintf(out, ", \"tries\": %lu", result->item->tries);
        fprintf(out, ", \"start\": %.6f, \"end\": %.6f}\n", result->started, result->ended);
}
