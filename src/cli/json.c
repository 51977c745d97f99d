/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include <string.h>

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
void cli_json_string(FILE *out, const char *text) {
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
