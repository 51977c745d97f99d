/* SPDX-License-Identifier: MIT */
/* Preloaded by ld.so into the command: in place of reading its arguments it prints the options that they may be, each
 * with a '=' behind it if it takes an argument. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int getopt_long(int argc, char *const *argv, const char *short_options, const struct option *options, int *index) {
        (void)argc, (void)argv, (void)index;
        for (const char *at = short_options + strspn(short_options, "+-:"); *at; at++)
                if (*at != ':')
                        printf("-%c%s\n", *at, at[1] == ':' ? "=" : "");
        for (; options->name; options++)
                printf("--%s%s\n", options->name, options->has_arg == no_argument ? "" : "=");
        exit(0);
}
