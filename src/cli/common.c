/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cli.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char prefix[] = "forkserver: ";

unsigned cli_closed_streams;

void cli_open_streams(void) {
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
                if (fcntl(fd, F_GETFD) >= 0)
                        continue;
                /* open() takes the lowest number, which is this one */
                if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) == fd)
                        cli_closed_streams |= 1u << fd;
        }
}

enum { LINE_SIZE = 1024, TAIL_SIZE = 128 };

/* One write, so that lines of processes that share a standard error don't mix. */
__attribute__((format(printf, 1, 0))) static void complain(const char *format, va_list args, const char *tail) {
        char raw[4 * LINE_SIZE], line[LINE_SIZE + TAIL_SIZE];
        size_t n = sizeof prefix - 1;

        if (vsnprintf(raw, sizeof raw, format, args) < 0)
                return; /* a format that is wrong */
        memcpy(line, prefix, n);
        n += cli_harmless(line + n, LINE_SIZE - n, raw);
        n += cli_harmless(line + n, TAIL_SIZE - 1, tail);
        line[n++] = '\n';
        if (write(STDERR_FILENO, line, n) < 0)
                return; /* nothing is left that could be told */
}

void cli_complain(const char *format, ...) {
        va_list args;

        va_start(args, format);
        complain(format, args, "");
        va_end(args);
}

void cli_error_text(const struct fsrv_error *error, char *text, size_t size) {
        char own[FSRV_ERROR_TEXT_SIZE - 1]; /* so that one that is full ends in dots */
        bool is_full = strlen(error->text) == sizeof error->text - 1;

        cli_harmless(own, sizeof own, error->text);
        snprintf(text, size, "%s%s%s", own, is_full ? ": " : "", is_full ? strerror(error->err) : "");
}

void cli_complain_error(const struct fsrv_error *error) {
        char text[CLI_ERROR_TEXT_SIZE];

        cli_error_text(error, text, sizeof text);
        cli_complain("%s (stage %s)", text, fsrv_stage_name(error->stage));
}

int cli_fail(struct fsrv_error *error, uint32_t stage, int err, const char *text) {
        *error = (struct fsrv_error){ .err = err, .stage = stage };
        snprintf(error->text, sizeof error->text, "%s: %s", text, strerror(err));
        return -err;
}

int cli_usage_error(const char *command, const char *format, ...) {
        char tail[64];
        va_list args;

        snprintf(tail, sizeof tail, " (try 'forkserver %s%s--help')", command, *command ? " " : "");
        va_start(args, format);
        complain(format, args, tail);
        va_end(args);
        return CLI_EXIT_OURS;
}

int cli_bad_option(const char *command, int c, char **argv) {
        const char *word = argv[optind - 1];

        if (c == ':')
                return cli_usage_error(command, "option '%s' needs an argument", word);
        /* getopt leaves a short option in optopt; it may stand within a word of several, behind which optind lags */
        if (optopt && optopt < UCHAR_MAX && strncmp(word, "--", 2) != 0)
                return cli_usage_error(command, "unknown option '-%c'", optopt);
        if (optopt)
                return cli_usage_error(command, "option '%s' takes no argument", word);
        return cli_usage_error(command, "unknown option '%s'", word);
}

pid_t cli_own_number(const struct fsrv_process *process, const struct cli_target *target) {
        char path[64], line[128];
        int number = 0;

        if (!target->socket_path) /* a private server is in our namespace */
                return fsrv_process_get_pid(process);
        snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fsrv_process_get_pidfd(process));
        FILE *file = fopen(path, "re");
        while (file && fgets(line, sizeof line, file))
                if (sscanf(line, "Pid: %d", &number) == 1)
                        break;
        if (file)
                fclose(file);
        return number > 0 ? number : 0;
}

int cli_exit_code_of_error(const struct fsrv_error *error) {
        if (error->stage != FSRV_STAGE_EXEC)
                return CLI_EXIT_OURS;
        return error->err == ENOENT ? CLI_EXIT_NOT_FOUND : CLI_EXIT_CANNOT_RUN;
}
