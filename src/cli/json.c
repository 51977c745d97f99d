/* SPDX-License-Identifier: MIT */
#include "cli.h"
#include "text.h"

/* Bytes that aren't UTF-8 become \udc80 to \udcff, as Python's "surrogateescape" has them, so that nothing is lost. */
void cli_json_string(FILE *out, const char *text) {
        const unsigned char *s = (const unsigned char *)text;

        fputc('"', out);
        while (*s) {
                size_t n = cli_utf8_length((const char *)s);
                if (*s == '"' || *s == '\\')
                        fprintf(out, "\\%c", *s++);
                else if (*s < 0x20 || *s == 0x7f)
                        fprintf(out, "\\u%04x", *s++);
                else if (cli_is_control((const char *)s)) { /* C1: a report may be looked at on a terminal */
                        fprintf(out, "\\u%04x", s[1]);
                        s += n;
                } else if (n == 0)
                        fprintf(out, "\\udc%02x", *s++);
                else
                        s += fwrite(s, 1, n, out);
        }
        fputc('"', out);
}
