/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_START_H
#define FSRV_CLIENT_START_H

#include <sys/types.h>

/* Helper programs: where they are, and starting them. Safe beside other threads, and from a program of any size. */

/* The path of a helper program; the caller frees it. NULL: out of memory. */
char *fsrv__helper_path(const char *directory, const char *name);

/* The fds, at most this many, lie from FSRV_START_FD on in the program; standard input is /dev/null, standard output is
 * standard error; it leads a process group of its own, with all signals blocked. */
#define FSRV_START_FD      3
#define FSRV_START_FDS_MAX 4

/* Nobody's child that the caller could see. 0 or -errno, execve(2)'s too. The fds stay the caller's. */
int fsrv__start_orphan(const char *program, char **argv, const int *fds, int n_fds);
/* Below the caller in the tree of processes, but no child of it that wait(-1) or a SIGCHLD handler would see: a process
 * between the two, the anchor, waits for the program's end, and then ends. Its pid, which the caller reaps by __WCLONE;
 * 0 for an orphan, where memory or processes are too few for an anchor. Or -errno. The anchor begins as
 * a copy of the caller without its large memory: a fork(2) elsewhere waits until it has been made. It says how the
 * start went on `report`, a pipe, which stays the caller's. */
pid_t fsrv__start_in_tree(const char *program, char **argv, const int *fds, int n_fds, const int report[2]);
/* Calls it in a process of its own, which shares the memory and nothing else, and must _exit(). 0 or -errno. */
int fsrv__start_function(int (*function)(void *data), void *data);
/* A child (after execve(2) an ordinary one, SIGCHLD and all). The pid or -errno. */
pid_t fsrv__start_child(const char *program, char **argv, const int *fds, int n_fds);

#endif
