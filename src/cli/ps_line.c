/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ps_line.h"

#include <locale.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "text.h"

struct ps_size ps_size_now(void) {
        struct winsize size;

        if (!isatty(STDOUT_FILENO))
                return (struct ps_size){ PS_WHOLE, PS_WHOLE };
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
                return (struct ps_size){ 80, 24 };
        return (struct ps_size){ size.ws_col, size.ws_row };
}

/* The caller's locale may know ASCII alone. Where there is no table of widths, each of these characters counts as a
 * wide one, lest the line gets longer than the terminal. */
static size_t width_of(const char *text, size_t length) {
        static locale_t locale;
        wchar_t character;
        mbstate_t state = { 0 };

        if (length == 1)
                return 1;
        if (!locale)
                locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
        if (!locale)
                return 2;
        locale_t before = uselocale(locale);
        int width = mbrtowc(&character, text, length, &state) == length ? wcwidth(character) : 2;
        uselocale(before);
        return width < 0 ? 2 : (size_t)width;
}

void ps_line_put(FILE *out, const char *line, size_t columns) {
        size_t at = 0;

        while (*line) {
                size_t length = cli_utf8_length(line), step = length ? length : 1;
                bool is_harmless = length > 0 && !cli_is_control(line);
                size_t width = is_harmless ? width_of(line, length) : 1;

                if (columns != PS_WHOLE && at + width > columns)
                        return;
                if (is_harmless)
                        fwrite(line, 1, length, out);
                else
                        fputc(*line == '\n' || *line == '\t' ? ' ' : '?', out);
                at += width;
                line += step;
        }
}
