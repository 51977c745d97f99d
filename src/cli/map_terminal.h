/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_TERMINAL_H
#define FORKSERVER_CLI_MAP_TERMINAL_H

/* --tty: the terminal is lent to the item that runs, as a shell lends it to a job in the foreground. */

struct map_job;

/* The item's standard input, or -errno with a complaint. */
int map_terminal_open(void);
/* The item has started, or goes on. */
void map_terminal_lend(struct map_job *job);
/* The item was stopped: for having been too quick, or by ^Z, which is for us as well. */
void map_terminal_on_stop(struct map_job *job, int signal);
/* The item has ended, by this signal or 0: what ^C sent to it is for us as well. */
void map_terminal_take_back(int signal);

#endif
