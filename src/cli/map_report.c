/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

double map_clock(void) {
        struct timespec ts;

        clock_gettime(CLOCK_REALTIME, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void map_result_free(struct map_result *result) {
        for (int i = 0; i < 2; i++)
                if (result->files[i] >= 0)
                        close(result->files[i]);
        free(result->item);
        free(result);
}

int map_report_init(struct map_report *report, const struct map_options *options) {
        *report = (struct map_report){ .options = options, .total = -1, .started = map_clock() };
        report->on_terminal = isatty(STDERR_FILENO) && !options->quiet;
        if (!options->json)
                return 0;
        report->json = fopen(options->json, "we");
        if (report->json)
                return 0;
        int err = errno;
        cli_complain("map: cannot write %s: %s", options->json, strerror(err));
        return -err;
}

/* ---- outputs ---- */

static int write_all(int fd, const char *bytes, size_t n) {
        while (n > 0) {
                ssize_t k = write(fd, bytes, n);
                if (k < 0 && errno != EINTR)
                        return -errno;
                if (k > 0) {
                        bytes += k;
                        n -= (size_t)k;
                }
        }
        return 0;
}

static int copy_file(int to, int from) {
        char bytes[65536];
        ssize_t n;
        off_t at = 0;

        while ((n = sendfile(to, from, &at, 1 << 20)) > 0)
                ;
        if (n == 0)
                return 0;
        if (errno != EINVAL && errno != ENOSYS) /* a target that sendfile(2) cannot do, as one open for appending */
                return -errno;
        while ((n = pread(from, bytes, sizeof bytes, at)) > 0) {
                int r = write_all(to, bytes, (size_t)n);
                if (r < 0)
                        return r;
                at += n;
        }
        return n < 0 ? -errno : 0;
}

/* "item<TAB>line" for each line, the last one with or without its newline. */
static int copy_tagged(int to, int from, const char *item) {
        int copy = dup(from);
        FILE *in = copy < 0 ? NULL : fdopen(copy, "r"), *out = NULL;
        char *line = NULL, *text = NULL;
        size_t room = 0, size = 0;
        ssize_t n;
        int r = 0;

        if (in)
                rewind(in);
        while (in && r == 0 && (n = getline(&line, &room, in)) > 0) {
                out = open_memstream(&text, &size);
                if (!out) {
                        r = -ENOMEM;
                        break;
                }
                fprintf(out, "%s\t", item);
                fwrite(line, 1, (size_t)n, out);
                r = fclose(out) == 0 ? write_all(to, text, size) : -ENOMEM;
                free(text);
        }
        free(line);
        if (in)
                fclose(in);
        else if (copy >= 0)
                close(copy);
        return in ? r : -ENOMEM;
}

static void write_output(struct map_report *report, const struct map_result *result, int i) {
        int to = STDOUT_FILENO + i;

        if (result->files[i] < 0)
                return;
        int r = report->options->tag ? copy_tagged(to, result->files[i], result->item) : copy_file(to, result->files[i]);
        if (r < 0 && !report->broken) {
                cli_complain("map: cannot write to standard %s: %s", i ? "error" : "output", strerror(-r));
                report->broken = -r;
        }
}

/* ---- JSON ---- */

/* The length of the valid UTF-8 sequence at s, 0 if there is none (RFC 3629: no surrogates, nothing overlong). */
static size_t utf8_length(const unsigned char *s) {
        static const struct {
                unsigned char first_low, first_high, second_low, second_high;
                size_t length;
        } forms[] = {
                { 0xC2, 0xDF, 0x80, 0xBF, 2 }, { 0xE0, 0xE0, 0xA0, 0xBF, 3 }, { 0xE1, 0xEC, 0x80, 0xBF, 3 },
                { 0xED, 0xED, 0x80, 0x9F, 3 }, { 0xEE, 0xEF, 0x80, 0xBF, 3 }, { 0xF0, 0xF0, 0x90, 0xBF, 4 },
                { 0xF1, 0xF3, 0x80, 0xBF, 4 }, { 0xF4, 0xF4, 0x80, 0x8F, 4 },
        };

        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
                if (s[0] < forms[i].first_low || s[0] > forms[i].first_high)
                        continue;
                if (s[1] < forms[i].second_low || s[1] > forms[i].second_high)
                        return 0;
                for (size_t k = 2; k < forms[i].length; k++)
                        if ((s[k] & 0xC0) != 0x80)
                                return 0;
                return forms[i].length;
        }
        return 0;
}

/* Bytes that aren't UTF-8 become \udc80 to \udcff, as Python's "surrogateescape" has them, so that nothing is lost. */
static void json_string(FILE *out, const char *text) {
        const unsigned char *s = (const unsigned char *)text;

        fputc('"', out);
        while (*s) {
                size_t n = *s < 0x80 ? 1 : utf8_length(s);
                if (*s == '"' || *s == '\\')
                        fprintf(out, "\\%c", *s++);
                else if (*s < 0x20 || *s == 0x7f)
                        fprintf(out, "\\u%04x", *s++);
                else if (n == 0)
                        fprintf(out, "\\udc%02x", *s++);
                else
                        s += fwrite(s, 1, n, out);
        }
        fputc('"', out);
}

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
        fprintf(out, ", \"rusage\": {\"utime\": %.6f, \"stime\": %.6f, \"maxrss\": %ld, \"minflt\": %ld, \"majflt\": %ld}",
                seconds(&usage->ru_utime), seconds(&usage->ru_stime), usage->ru_maxrss, usage->ru_minflt,
                usage->ru_majflt);
}

static void json_result(FILE *out, const struct map_result *result) {
        fputs("{\"item\": ", out);
        json_string(out, result->item);
        if (result->pid)
                fprintf(out, ", \"pid\": %d, ", (int)result->pid);
        else
                fputs(", \"pid\": null, ", out);
        if (result->has_status)
                json_status(out, &result->status);
        else {
                fprintf(out, "\"status\": null, \"signal\": null, \"error\": {\"stage\": \"%s\", \"errno\": %d, \"text\": ",
                        fsrv_stage_name(result->error.stage), result->error.err);
                json_string(out, result->error.text);
                fputc('}', out);
        }
        fprintf(out, ", \"start\": %.6f, \"end\": %.6f}\n", result->started, result->ended);
}

/* ---- lines for people ---- */

static void clear_line(struct map_report *report) {
        if (report->line_shown)
                (void)!write(STDERR_FILENO, "\r\033[K", 4);
        report->line_shown = false;
}

static void complain_of(const struct map_result *result) {
        if (!result->has_status)
                cli_complain("map: '%s': %s", result->item, result->error.text);
        else if (result->status.flags & FSRV_STATUS_TIMED_OUT)
                cli_complain("map: '%s': killed after its time limit", result->item);
        else if (result->status.signal)
                cli_complain("map: '%s': killed by SIG%s%s", result->item, sigabbrev_np(result->status.signal),
                             result->status.flags & FSRV_STATUS_CORE_DUMPED ? " (core dumped)" : "");
}

void map_report_result(struct map_report *report, struct map_result *result) {
        bool failed = !result->has_status || result->status.exit_code != 0;

        report->done++;
        report->failed += failed;
        if (report->on_terminal)
                clear_line(report);
        write_output(report, result, 0);
        write_output(report, result, 1);
        if (failed)
                complain_of(result);
        if (report->json)
                json_result(report->json, result);
        map_result_free(result);
}

static int describe(const struct map_report *report, char *text, size_t size) {
        double elapsed = map_clock() - report->started;

        return snprintf(text, size, "%lu done, %lu failed, %.0f/s", report->done, report->failed,
                        elapsed > 0 ? (double)report->done / elapsed : 0.0);
}

void map_report_progress(struct map_report *report) {
        char text[160];
        double now = map_clock();

        if (!report->on_terminal || now - report->shown < 0.1)
                return;
        report->shown = now;
        int n = describe(report, text, sizeof text);
        if (report->total >= 0)
                n += snprintf(text + n, sizeof text - (size_t)n, ", %ld to go", report->total - (long)report->done);
        clear_line(report);
        (void)!write(STDERR_FILENO, text, (size_t)n);
        report->line_shown = true;
}

int map_report_done(struct map_report *report) {
        char text[160];
        int r = -report->broken;

        clear_line(report);
        if (report->on_terminal || report->options->progress) {
                describe(report, text, sizeof text);
                cli_complain("map: %s, %.2f s", text, map_clock() - report->started);
        }
        if (report->json && (ferror(report->json) | fclose(report->json)) != 0) {
                cli_complain("map: cannot write %s: %s", report->options->json, strerror(errno));
                r = -EIO;
        }
        return r;
}
