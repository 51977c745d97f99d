/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SPAWNER_H
#define TESTS_SPAWNER_H

/* The whole API for pytest: a program that does what it is told, a command a line, on a socket. */

#include <forkserver.h>
#include <stdio.h>

struct command {
        const char *name;
        int least; /* words after the name; more are in argv too */
        void (*run)(int argc, char **argv);
};

/* spawner.c */
extern FILE *answer;
/* Put before each call of the library: tells whether a success left the error alone, as it has to. */
struct fsrv_error *fresh_error(void);
/* Begins the answer's object: result, and on failure errno, stage, text, pid. The caller adds members, each after a
 * comma; the loop ends the object. */
void say(int result);
/* The same of this program's own system calls: -1 and errno. */
void say_own(long result);

/* spawner_sandbox.c; NULL: none */
extern struct fsrv_sandbox *sandbox_of_requests;
void do_set_sandbox(int argc, char **argv);

/* spawner_api.c: what is to be spawned next */
struct fsrv_request *current_request(void);

/* spawner_attributes.c */
void do_attributes(int argc, char **argv);

extern const struct command api_commands[], own_commands[], classic_commands[];

#endif
