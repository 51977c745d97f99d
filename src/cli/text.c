/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "text.h"

#include <stdbool.h>
#include <string.h>

size_t cli_utf8_length(const char *text) {
        const unsigned char *s = (const unsigned char *)text;
        static const struct {
                unsigned char first_low, first_high, second_low, second_high;
                size_t length;
        } forms[] = {
                { 0xC2, 0xDF, 0x80, 0xBF, 2 }, { 0xE0, 0xE0, 0xA0, 0xBF, 3 }, { 0xE1, 0xEC, 0x80, 0xBF, 3 },
                { 0xED, 0xED, 0x80, 0x9F, 3 }, { 0xEE, 0xEF, 0x80, 0xBF, 3 }, { 0xF0, 0xF0, 0x90, 0xBF, 4 },
                { 0xF1, 0xF3, 0x80, 0xBF, 4 }, { 0xF4, 0xF4, 0x80, 0x8F, 4 },
        };

        if (*s && *s < 0x80)
                return 1;
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

bool cli_is_control(const char *text) {
        const unsigned char *s = (const unsigned char *)text;

        return *s < ' ' || *s == 0x7f || (s[0] == 0xC2 && s[1] >= 0x80 && s[1] < 0xA0);
}

size_t cli_harmless(char *out, size_t size, const char *text) {
        const size_t room = size - sizeof "...";
        size_t n = 0, fits = 0; /* the most that leaves room for the dots */

        while (*text) {
                size_t length = cli_utf8_length(text);
                bool keep = length > 0 && !cli_is_control(text);
                size_t step = length ? length : 1, wanted = keep ? length : 1;

                if (n + wanted >= size)
                        break;
                if (keep)
                        memcpy(out + n, text, length);
                else
                        out[n] = *text == '\n' || *text == '\t' ? ' ' : '?';
                n += wanted;
                text += step;
                if (n <= room)
                        fits = n;
        }
        if (*text) {
                memcpy(out + fits, "...", 3);
                n = fits + 3;
        }
        out[n] = 0;
        return n;
}

void cli_put_harmless(FILE *out, const char *text) {
        char piece[4096];

        cli_harmless(piece, sizeof piece, text);
        fputs(piece, out);
}
