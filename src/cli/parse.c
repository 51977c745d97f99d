/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* ---- numbers and words ---- */

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

int cli_parse_word(const char *what, const char *text, const char *const words[], uint32_t *ret_number) {
        char known[128] = "";
        size_t n = 0;

        for (uint32_t i = 0; words[i]; i++) {
                if (strcmp(text, words[i]) == 0) {
                        *ret_number = i;
                        return 0;
                }
                const char *between = words[i + 1] ? ", " : " and ";
                n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i > 0 ? between : "", words[i]);
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

/* ---- times ---- */

/* How many seconds the unit stands for; 0: we don't know it. */
static double seconds_of_unit(const char *text) {
        static const struct {
                const char *name;
                double seconds;
        } units[] = { { "", 1 }, { "s", 1 }, { "ms", 1e-3 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };

        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
                if (strcmp(text, units[i].name) == 0)
                        return units[i].seconds;
        return 0;
}

int cli_parse_seconds(const char *text, double *ret_seconds) {
        char *end;
        double seconds = strtod(text, &end) * seconds_of_unit(text + strspn(text, "0123456789."));

        /* strtod also takes signs, blanks, exponents, hexadecimals, "inf" and "nan" */
        if (end == text || end != text + strspn(text, "0123456789.") || seconds_of_unit(end) == 0 || seconds > 1e9) {
                cli_complain("'%s' is not a time: a number of seconds, or one with ms, s, m, h or d behind it", text);
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

int cli_parse_size(const char *text, uint64_t *ret_size) {
        static const char units[] = "KMGT";
        char *end;

        if (strcmp(text, "unlimited") == 0) {
                *ret_size = RLIM_INFINITY;
                return 0;
        }
        errno = 0;
        uint64_t size = strtoull(text, &end, 10);
        const char *unit = *end ? strchr(units, *end) : NULL;
        int shift = unit ? 10 * (int)(unit - units + 1) : 0;
        if (!isdigit((unsigned char)text[0]) || errno || (*end && (!unit || end[1])) ||
            size > UINT64_MAX >> 1 >> shift) {
                cli_complain("'%s' is not a size: a number, or one with K, M, G or T behind it, or unlimited", text);
                return -EINVAL;
        }
        *ret_size = size << shift;
        return 0;
}

int cli_parse_preload_timeout(const char *text, int *ret_ms) {
        double seconds;
        int r = cli_parse_seconds(text, &seconds);

        if (r < 0)
                return r;
        if (seconds <= 0 || seconds > INT_MAX / 1000) {
                cli_complain("--preload-timeout: '%s' is not above 0 and at most %d seconds", text, INT_MAX / 1000);
                return -EINVAL;
        }
        *ret_ms = (int)cli_milliseconds(seconds);
        return 0;
}

/* ---- things ---- */

/* After getpwnam(3) or getgrnam(3) has found nothing. */
static int refuse_name(const char *what, const char *kind, const char *name) {
        if (errno && errno != ENOENT && errno != ESRCH) /* those two are one more way to say that there is none */
                cli_complain("%s: cannot look up the %s '%s': %s", what, kind, name, strerror(errno));
        else
                cli_complain("%s: there is no %s '%s'", what, kind, name);
        return -EINVAL;
}

/* -1 is no id. */
static int parse_id(const char *what, const char *text, uint32_t *ret_id) {
        unsigned long number;
        int r = cli_parse_number(what, text, 0, UINT32_MAX - 1, &number);

        if (r == 0)
                *ret_id = (uint32_t)number;
        return r;
}

int cli_parse_uid(const char *what, const char *text, uid_t *ret_uid) {
        if (isdigit((unsigned char)text[0]))
                return parse_id(what, text, ret_uid);
        errno = 0;
        const struct passwd *user = getpwnam(text);
        if (!user)
                return refuse_name(what, "user", text);
        *ret_uid = user->pw_uid;
        return 0;
}

int cli_parse_gid(const char *what, const char *text, gid_t *ret_gid) {
        if (isdigit((unsigned char)text[0]))
                return parse_id(what, text, ret_gid);
        errno = 0;
        const struct group *group = getgrnam(text);
        if (!group)
                return refuse_name(what, "group", text);
        *ret_gid = group->gr_gid;
        return 0;
}

int cli_parse_socket(const char *text, const char **ret_path) {
        if (!text[0]) {
                cli_complain("--socket: the path is empty");
                return -EINVAL;
        }
        *ret_path = text;
        return 0;
}
