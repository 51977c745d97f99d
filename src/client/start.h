/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLIENT_START_H
#define FSRV_CLIENT_START_H

#include <sys/types.h>

/* Finds and starts helper programs, safely beside other threads, and from a program of any size. */

/* The path of a helper program; the caller frees it. NULL: out of memory. */
char *fsrv__helper_path(const char *directory, const char *name);

/* The program finds its fds, at most this many, from FSRV_START_FD on. Its standard input is /dev/null, its standard
 * output is standard error. It leads a process group of its own, with all signals blocked. */
#define FSRV_START_FD      3
#define FSRV_START_FDS_MAX 4

/* Starts a program that is no child of the caller's. 0 or -errno, execve(2)'s too. The fds stay the caller's. */
int fsrv__start_orphan(const char *program, char **argv, const int *fds, int n_fds);
/* Starts a program below the caller in the tree of processes, which neither wait(-1) nor a SIGCHLD handler sees. A
 * process between the two, the anchor, waits for the program's end, and then ends. Returns the anchor's pid, which the
 * caller reaps by __WCLONE; 0: the program is an orphan, as memory or processes are too few for an anchor; or -errno.
 * The anchor begins as a copy of the caller without its large memory; a fork(2) in another thread waits until the copy
 * is made. It says how the start went on `report`, a pipe, which stays the caller's. */
pid_t fsrv__start_in_tree(const char *program, char **argv, const int *fds, int n_fds, const int report[2]);
/* Calls the function in a process that shares the memory and nothing else; it must _exit(). 0 or -errno. */
int fsrv__start_function(int (*function)(void *data), void *data);
/* Starts a program as an ordinary child. The pid or -errno. */
pid_t fsrv__start_child(const char *program, char **argv, const int *fds, int n_fds);

#endif
