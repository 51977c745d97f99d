/* SPDX-License-Identifier: MIT */
#include "words.h"

#include <stdlib.h>
#include <string.h>

static void decode(char *word) {
        char *out = word;

        for (char *in = word; *in; in++) {
                if (*in == '%' && in[1] && in[2]) {
                        char hex[3] = { in[1], in[2], 0 };
                        *out++ = (char)strtol(hex, NULL, 16);
                        in += 2;
                } else {
                        *out++ = *in;
                }
        }
        *out = 0;
}

int words_split(char *line, char **ret_words, int n) {
        int found = 0;

        line[strcspn(line, "\n")] = 0;
        while (line && found < n - 1) {
                ret_words[found++] = strsep(&line, " ");
                decode(ret_words[found - 1]);
        }
        ret_words[found] = NULL;
        return found;
}

void json_string(FILE *out, const char *bytes, size_t n) {
        putc('"', out);
        for (size_t i = 0; i < n; i++) {
                unsigned char c = (unsigned char)bytes[i];
                if (c == '"' || c == '\\')
                        fprintf(out, "\\%c", c);
                else if (c < 32 || c > 126)
                        fprintf(out, "\\u%04x", c);
                else
                        putc(c, out);
        }
        putc('"', out);
}
