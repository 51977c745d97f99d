/* SPDX-License-Identifier: MIT */
/* spawner FD: obeys the commands that come in on the socket FD until it ends. */
#define _GNU_SOURCE
#include "spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "words.h"

enum { WORDS_MAX = 100000 };

FILE *answer;
static struct fsrv_error error, untouched;

struct fsrv_error *fresh_error(void) {
        memset(&untouched, 0x5a, sizeof untouched);
        error = untouched;
        return &error;
}

void say(int result) {
        fprintf(answer, "{\"result\":%d", result);
        if (result < 0) {
                const char *name = strerrorname_np(-result);
                fprintf(answer, ",\"errno\":\"%s\"", name ? name : "?");
        }
        if (memcmp(&error, &untouched, sizeof error) == 0)
                return;
        fprintf(answer, ",\"told\":true,\"err\":%d,\"stage\":\"%s\",\"failed_pid\":%d,\"text\":", error.err,
                fsrv_stage_name(error.stage), (int)error.pid);
        json_string(answer, error.text, strnlen(error.text, sizeof error.text));
        error = untouched;
}

void say_own(long result) {
        say(result < 0 ? -errno : (int)result);
}

static const struct command *find(const struct command *commands, const char *name) {
        for (; commands->name; commands++)
                if (strcmp(commands->name, name) == 0)
                        return commands;
        return NULL;
}

static void obey(int argc, char **argv) {
        const struct command *command = find(api_commands, argv[0]);

        if (!command)
                command = find(own_commands, argv[0]);
        if (!command)
                command = find(classic_commands, argv[0]);
        if (!command || argc - 1 < command->least) {
                fprintf(stderr, "spawner: bad command '%s' with %d words\n", argv[0], argc - 1);
                exit(2);
        }
        command->run(argc, argv);
        fputs("}\n", answer);
        fflush(answer);
}

int main(int argc, char **argv) {
        int fd = argc == 2 ? atoi(argv[1]) : -1;
        FILE *commands = fd < 0 ? NULL : fdopen(fd, "r");
        char **words = malloc(WORDS_MAX * sizeof *words), *line = NULL;
        size_t size = 0;

        fcntl(fd, F_SETFD, FD_CLOEXEC);
        answer = fd < 0 ? NULL : fdopen(fcntl(fd, F_DUPFD_CLOEXEC, 3), "w");
        if (!commands || !answer || !words)
                return 2;
        fresh_error();
        while (getline(&line, &size, commands) > 0)
                obey(words_split(line, words, WORDS_MAX), words);
        fclose(commands);
        fclose(answer);
        free(line);
        free(words);
        find(api_commands, "end")->run(0, NULL);
        return 0;
}
