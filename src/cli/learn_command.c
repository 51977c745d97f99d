/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

/* run --sandbox-learn: what is to be run runs in a child of ours, without a server, and nothing is closed. */

struct pupil {
        const struct cli_target *target;
        char **words; /* the program and its arguments; of an entry point its arguments alone */
        int (*function)(int argc, char **argv);
        char *needed; /* what --sandbox would have to say */
};

static int run_pupil(void *data) {
        const struct pupil *pupil = data;
        int n = 0;

        if (pupil->function) {
                while (pupil->words[n])
                        n++;
                return pupil->function(n, pupil->words);
        }
        execvp(pupil->words[0], pupil->words);
        cli_complain("executing '%s': %s", pupil->words[0], strerror(errno));
        return errno == ENOENT ? CLI_EXIT_NOT_FOUND : CLI_EXIT_CANNOT_RUN;
}

/* A comma of the word's own gets a backslash. A program's zygote allows execve(2) anyway. */
static void add_word(const char *word, void *data) {
        struct pupil *pupil = data;
        bool is_given = !pupil->function && strcmp(word, "allow=exec") == 0;
        size_t n = strlen(pupil->needed);
        char *grown = is_given ? NULL : realloc(pupil->needed, n + 2 * strlen(word) + 2);

        if (!grown)
                return;
        pupil->needed = grown;
        char *at = grown + n;
        *at++ = ',';
        for (; *word; word++) {
                if (*word == ',')
                        *at++ = '\\';
                *at++ = *word;
        }
        *at = 0;
}

/* As a server would, before anything is learned. NULL: with a complaint. */
static void *load(const char *module) {
        void *handle = dlopen(module, RTLD_NOW | RTLD_GLOBAL);

        if (!handle)
                cli_complain("%s", dlerror());
        return handle;
}

static int find_function(struct pupil *pupil) {
        char *module = strdup(pupil->target->entry), *colon = module ? strrchr(module, ':') : NULL;
        void *handle = NULL;

        if (colon) {
                *colon = 0;
                handle = load(module);
        }
        /* C has no other way to make a function of a pointer. */
        if (handle)
                *(void **)&pupil->function = dlsym(handle, colon + 1);
        if (handle && !pupil->function)
                cli_complain("%s", dlerror());
        free(module);
        return pupil->function ? 0 : -ENOENT;
}

static int prepare(struct pupil *pupil) {
        for (size_t i = 0; i < pupil->target->n_preload; i++)
                if (!load(pupil->target->preload[i]))
                        return -ENOENT;
        return pupil->target->entry ? find_function(pupil) : 0;
}

int cli_learn(const struct cli_target *target, char **words) {
        const char *text = target->sandbox.text ? target->sandbox.text : "none";
        struct pupil pupil = { .target = target, .words = words, .needed = strdup(text) };
        struct fsrv_error error = { 0 };
        int status = 0, r = pupil.needed ? prepare(&pupil) : -ENOMEM;

        if (r == 0 &&
            (r = fsrv_sandbox_learn(target->sandbox.sandbox, run_pupil, &pupil, add_word, &pupil, &status, &error)) < 0)
                cli_complain_error(&error);
        if (r == 0 && strcmp(pupil.needed, text) == 0)
                cli_complain("the sandbox gives all that was needed");
        else if (r == 0)
                dprintf(STDERR_FILENO, "forkserver: this was needed: --sandbox %s\n", pupil.needed);
        free(pupil.needed);
        if (r < 0)
                return CLI_EXIT_OURS;
        return WIFSIGNALED(status) ? cli_die_by(WTERMSIG(status)) : WEXITSTATUS(status);
}
