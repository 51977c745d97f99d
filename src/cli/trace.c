/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "text.h"

/* ---- the file ---- */

static const char end_of_file[] = "\n]}\n";

static int write_all(int fd, const char *bytes, size_t n) {
        while (n > 0) {
                ssize_t k = write(fd, bytes, n);
                if (k < 0 && errno != EINTR)
                        return -errno;
                bytes += k > 0 ? k : 0;
                n -= k > 0 ? (size_t)k : 0;
        }
        return 0;
}

/* What is in the file is valid JSON also where there is no room for more. */
static int write_events(struct cli_trace *trace) {
        if (trace->at < 0)
                return write_all(trace->fd, trace->text, trace->size);
        int r = lseek(trace->fd, trace->at, SEEK_SET) < 0 ? -errno : write_all(trace->fd, trace->text, trace->size);
        if (r == 0) {
                trace->at += (int64_t)(trace->size - (sizeof end_of_file - 1));
                return 0;
        }
        if (pwrite(trace->fd, end_of_file, sizeof end_of_file - 1, trace->at) > 0)
                (void)!ftruncate(trace->fd, trace->at + (int64_t)sizeof end_of_file - 1);
        return r;
}

/* Each write to a file brings its end along, which the next one replaces: so it is valid JSON whenever we are killed.
 */
static void flush(struct cli_trace *trace) {
        if (trace->at >= 0)
                fputs(end_of_file, trace->out);
        int r = fflush(trace->out) == 0 ? write_events(trace) : -ENOMEM;
        rewind(trace->out);
        if (r == 0)
                return;
        trace->broken = -r;
        cli_complain("--trace: cannot write %s: %s", trace->path, strerror(-r));
}

/* A FIFO that nobody reads would have us wait for ever. */
static int open_file(const char *path) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);

        if (fd >= 0)
                fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
        return fd;
}

int64_t cli_trace_now(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

int cli_trace_open(struct cli_trace *trace, const char *path) {
        struct timespec ts;

        *trace = (struct cli_trace){ .fd = -1, .is_first = true };
        if (!path)
                return 0;
        trace->path = path;
        trace->fd = open_file(path);
        trace->out = trace->fd >= 0 ? open_memstream(&trace->text, &trace->size) : NULL;
        if (!trace->out) {
                trace->broken = errno;
                cli_complain("--trace: cannot write %s: %s", path,
                             errno == ENXIO ? "nobody reads this FIFO" : strerror(errno));
                return -trace->broken;
        }
        trace->at = lseek(trace->fd, 0, SEEK_CUR);
        trace->began = cli_trace_now();
        clock_gettime(CLOCK_REALTIME, &ts);
        fprintf(trace->out,
                "{\"displayTimeUnit\": \"ms\", \"otherData\": {\"version\": \"forkserver %s\", "
                "\"start\": %lld.%09ld, \"monotonic\": %lld.%09lld},\n\"traceEvents\": [\n",
                fsrv_version(), (long long)ts.tv_sec, ts.tv_nsec, (long long)(trace->began / 1000000000),
                (long long)(trace->began % 1000000000));
        flush(trace);
        return -trace->broken;
}

int cli_trace_done(struct cli_trace *trace) {
        if (trace->out && !trace->broken && trace->at < 0) {
                fputs(end_of_file, trace->out);
                flush(trace);
        }
        if (trace->out)
                fclose(trace->out);
        free(trace->text);
        if (trace->fd >= 0 && close(trace->fd) < 0 && !trace->broken) {
                trace->broken = errno;
                cli_complain("--trace: cannot write %s: %s", trace->path, strerror(errno));
        }
        trace->out = NULL;
        trace->text = NULL;
        trace->fd = -1;
        return -trace->broken;
}

/* ---- events ---- */

static void begin(struct cli_trace *trace, const char *name, const char *phase, unsigned long track) {
        fputs(trace->is_first ? "{\"name\": " : ",\n{\"name\": ", trace->out);
        trace->is_first = false;
        cli_json_string(trace->out, name);
        fprintf(trace->out, ", \"ph\": \"%s\", \"pid\": %d, \"tid\": %lu", phase, (int)getpid(), track);
}

static void span(struct cli_trace *trace, const char *name, const char *category, unsigned long track, int64_t from,
                 int64_t to) {
        begin(trace, name, "X", track);
        fprintf(trace->out, ", \"cat\": \"%s\", \"ts\": %.3f, \"dur\": %.3f", category,
                (double)(from - trace->began) / 1e3, to > from ? (double)(to - from) / 1e3 : 0.);
}

static void name_track(struct cli_trace *trace, unsigned long track) {
        char name[32];

        if (track < trace->tracks)
                return;
        trace->tracks = track + 1;
        snprintf(name, sizeof name, track ? "slot %lu" : "server", track);
        begin(trace, "thread_name", "M", track);
        fputs(", \"args\": {\"name\": ", trace->out);
        cli_json_string(trace->out, name);
        fputs("}}", trace->out);
}

int cli_trace_server(struct cli_trace *trace, struct fsrv_server *server, struct fsrv_error *error) {
        if (!trace->path || trace->broken)
                return 0;
        int64_t begun = cli_trace_now();
        int r = fsrv_server_ensure_running(server, error);
        int64_t running = cli_trace_now();
        if (r >= 0)
                r = fsrv_server_wait_ready(server, -1, error);
        name_track(trace, 0);
        span(trace, "server start", "server", 0, begun, running);
        fputs("}", trace->out);
        span(trace, "preload", "server", 0, running, cli_trace_now());
        fputs("}", trace->out);
        flush(trace);
        return r < 0 ? r : 0;
}

static double microseconds(const struct timeval *time) {
        return (double)time->tv_sec * 1e6 + (double)time->tv_usec;
}

static void put_end(FILE *out, const struct cli_trace_job *job) {
        const struct fsrv_status *status = job->status;
        char name[32];

        if (status && status->signal)
                fprintf(out, ", \"signal\": \"%s\"", cli_signal_name(status->signal, name));
        else if (status)
                fprintf(out, ", \"exit_code\": %d", status->exit_code);
        if (status)
                fprintf(out, ", \"user_us\": %.0f, \"system_us\": %.0f, \"max_rss_kib\": %ld",
                        microseconds(&status->rusage.ru_utime), microseconds(&status->rusage.ru_stime),
                        status->rusage.ru_maxrss);
        if (job->error) {
                fputs(", \"error\": ", out);
                cli_json_string(out, job->error->text);
        }
}

static void put_arguments(FILE *out, const struct cli_trace_job *job) {
        fputs(", \"args\": {\"item\": ", out);
        cli_json_string(out, job->item);
        if (job->pid)
                fprintf(out, ", \"pid\": %d", (int)job->pid);
        if (job->tries)
                fprintf(out, ", \"try\": %lu", job->tries);
        put_end(out, job);
        fputs("}}", out);
}

enum { SHOWN_ITEM = 200 };

/* Spans of a track mustn't overlap, so the wait begins there when the slot was free; "queued_us" is all of it. */
void cli_trace_write(struct cli_trace *trace, const struct cli_trace_job *job) {
        char shown[SHOWN_ITEM];

        if (!trace->path || trace->broken)
                return;
        name_track(trace, job->track);
        span(trace, "queue", "queue", job->track, job->taken > job->free ? job->taken : job->free, job->asked);
        fprintf(trace->out, ", \"args\": {\"queued_us\": %.3f}}", (double)(job->asked - job->taken) / 1e3);
        span(trace, job->started ? "spawn" : "spawn failed", "spawn", job->track, job->asked,
             job->started ? job->started : job->ended);
        if (!job->started)
                put_arguments(trace->out, job);
        else {
                cli_harmless(shown, sizeof shown, job->item);
                fputs("}", trace->out);
                span(trace, shown, "run", job->track, job->started, job->ended);
                put_arguments(trace->out, job);
        }
        flush(trace);
}
