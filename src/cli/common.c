/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cli.h"

#include <ctype.h>
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

/* One write, so that lines of processes that share a standard error don't mix. */
__attribute__((format(printf, 1, 0))) static void complain(const char *format, va_list args, const char *tail) {
        char line[1024];
        const size_t room = sizeof line - 1; /* the newline's place */
        size_t n = sizeof prefix - 1;
        int r;

        memcpy(line, prefix, n);
        r = vsnprintf(line + n, room - n, format, args);
        if (r > 0)
                n += (size_t)r < room - n ? (size_t)r : room - n - 1;
        r = snprintf(line + n, room - n, "%s", tail);
        if (r > 0)
                n += (size_t)r < room - n ? (size_t)r : room - n - 1;
        for (size_t i = 0; i < n; i++)
                if (line[i] == '\n')
                        line[i] = ' '; /* names come from outside */
        line[n++] = '\n';
        if (write(STDERR_FILENO, line, n) < 0)
                return; /* nobody left to tell */
}

void cli_complain(const char *format, ...) {
        va_list args;

        va_start(args, format);
        complain(format, args, "");
        va_end(args);
}

void cli_complain_error(const struct fsrv_error *error) {
        cli_complain("%s (stage %s)", error->text, fsrv_stage_name(error->stage));
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

const char *cli_signal_name(int signal, char text[32]) {
        const char *name = sigabbrev_np(signal);

        if (name)
                snprintf(text, 32, "SIG%s", name);
        else
                snprintf(text, 32, "signal %d", signal);
        return text;
}

int cli_exit_code_of_error(const struct fsrv_error *error) {
        if (error->stage != FSRV_STAGE_EXEC)
                return CLI_EXIT_OURS;
        return error->err == ENOENT ? CLI_EXIT_NOT_FOUND : CLI_EXIT_CANNOT_RUN;
}

int cli_parse_seconds(const char *text, double *ret_seconds) {
        char *end;
        double seconds = strtod(text, &end);

        /* strtod also takes signs, blanks, exponents, hexadecimals, "inf" and "nan" */
        if (end == text || *end || text[strspn(text, "0123456789.")] || seconds > 1e9) {
                cli_complain("'%s' is not a number of seconds", text);
                return -EINVAL;
        }
        *ret_seconds = seconds;
        return 0;
}

uint64_t cli_milliseconds(double seconds) {
        double ms = seconds * 1000;
        uint64_t whole = (uint64_t)ms;

        return (double)whole < ms ? whole + 1 : whole;
}

int cli_parse_number(const char *what, const char *text, unsigned long min, unsigned long max,
                     unsigned long *ret_number) {
        unsigned long number;
        char *end;

        errno = 0;
        number = strtoul(text, &end, 10);
        if (!isdigit((unsigned char)text[0]) || *end || errno || number < min || number > max) {
                cli_complain("%s: '%s' is not a whole number from %lu to %lu", what, text, min, max);
                return -EINVAL;
        }
        *ret_number = number;
        return 0;
}

int cli_parse_uid(const char *what, const char *text, uid_t *ret_uid) {
        unsigned long number;
        int r = cli_parse_number(what, text, 0, (uid_t)-2, &number); /* (uid_t)-1 is nobody's */

        if (r < 0)
                return r;
        *ret_uid = (uid_t)number;
        return 0;
}

int cli_parse_word(const char *what, const char *text, const char *const words[], uint32_t *ret_number) {
        char known[128] = "";
        size_t n = 0;

        for (uint32_t i = 0; words[i]; i++) {
                if (strcmp(text, words[i]) == 0) {
                        *ret_number = i;
                        return 0;
                }
                n += (size_t)snprintf(known + n, sizeof known - n, "%s%s",
                                      i == 0         ? ""
                                      : words[i + 1] ? ", "
                                                     : " and ",
                                      words[i]);
        }
        cli_complain("%s: '%s' is none of %s", what, text, known);
        return -EINVAL;
}

int cli_parse_memory(const char *text, uint32_t *ret_memory) {
        static const char *const words[] = { [FSRV_MEMORY_AUTO] = "auto",
                                             [FSRV_MEMORY_FREEZE] = "freeze",
                                             [FSRV_MEMORY_COLLAPSE] = "collapse",
                                             [FSRV_MEMORY_OFF] = "off",
                                             NULL };

        return cli_parse_word("--memory", text, words, ret_memory);
}

int cli_target_add_preload(struct cli_target *target, const char *module) {
        const char **grown = realloc(target->preload, (target->n_preload + 2) * sizeof *grown);

        if (!grown) {
                cli_complain("out of memory");
                return -ENOMEM;
        }
        grown[target->n_preload++] = module;
        grown[target->n_preload] = NULL;
        target->preload = grown;
        return 0;
}

void cli_target_done(struct cli_target *target) {
        free(target->preload);
        target->preload = NULL;
        target->n_preload = 0;
}

int cli_target_open(const struct cli_target *target, struct fsrv_server **ret_server) {
        const struct fsrv_server_options options = {
                .size = sizeof options,
                .preload = target->preload,
                .preload_policy = FSRV_PRELOAD_FAIL,
                .memory = target->memory,
        };
        struct fsrv_error error = { 0 };
        int r;

        if (target->socket_path && target->n_preload) {
                cli_complain("--preload is for a private server; the one at --socket %s has its own modules",
                             target->socket_path);
                return -EINVAL;
        }
        if (target->socket_path)
                r = fsrv_server_connect(target->socket_path, target->server_uid, ret_server, &error);
        else
                r = fsrv_server_new(&options, ret_server, &error);
        if (r < 0)
                cli_complain_error(&error);
        return r;
}
