/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_command.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "map_arguments.h"
#include "text.h"

static bool is_plain(const char *word) {
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@%+";

        return word[0] && !word[strspn(word, plain)];
}

/* The length of a character that a terminal shows as it is; 0: of one that has to be spelled. */
static size_t shown_length(const char *text) {
        return cli_is_control(text) ? 0 : cli_utf8_length(text);
}

static bool is_harmless(const char *word) {
        while (*word && shown_length(word) > 0)
                word += shown_length(word);
        return !*word;
}

static void print_quoted(FILE *out, const char *word) {
        fputc('\'', out);
        for (; *word; word++)
                if (*word == '\'')
                        fputs("'\\''", out);
                else
                        fputc(*word, out);
        fputc('\'', out);
}

/* $'…', which sh knows since POSIX.1-2024: for what must not reach a terminal. */
static void print_spelled(FILE *out, const char *word) {
        fputs("$'", out);
        while (*word) {
                size_t n = shown_length(word);
                if (n == 0)
                        fprintf(out, "\\%03o", (unsigned char)*word++);
                else if (*word == '\'' || *word == '\\')
                        fprintf(out, "\\%c", *word++);
                else
                        word += fwrite(word, 1, n, out);
        }
        fputc('\'', out);
}

void map_print_command(FILE *out, char *const *words) {
        for (char *const *word = words; *word; word++) {
                if (word != words)
                        fputc(' ', out);
                if (is_plain(*word))
                        fputs(*word, out);
                else if (is_harmless(*word))
                        print_quoted(out, *word);
                else
                        print_spelled(out, *word);
        }
        fputc('\n', out);
}

void map_say_command(const struct map_options *options, const struct map_item *item, unsigned long slot) {
        char **words = map_arguments(options, item, slot), *text = NULL;
        size_t n = 0;
        FILE *out = words ? open_memstream(&text, &n) : NULL;

        if (out) {
                map_print_command(out, words);
                if (fclose(out) == 0)
                        (void)!write(STDERR_FILENO, text, n);
        }
        free(text);
        free(words);
}
