/* SPDX-License-Identifier: MIT */
/* The entry points of tests/modules/escapes/ as a program: escaper ENTRY WORD… */
#include <string.h>

int escape(int argc, char **argv);
int victim(int argc, char **argv);
int signal_target_by_fd(int argc, char **argv);
int nothing(int argc, char **argv);

static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
} entries[] = { { "escape", escape },
                { "victim", victim },
                { "signal_target_by_fd", signal_target_by_fd },
                { "nothing", nothing } };

int main(int argc, char **argv) {
        for (size_t i = 0; argc > 1 && i < sizeof entries / sizeof *entries; i++)
                if (strcmp(entries[i].name, argv[1]) == 0)
                        return entries[i].run(argc - 1, argv + 1);
        return 2;
}
