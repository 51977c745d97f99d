/* SPDX-License-Identifier: MIT */
#ifndef TESTS_ESCAPES_H
#define TESTS_ESCAPES_H

/*
 * Ways out of a sandbox. Each attempt is a small function with a name. It does nothing that would hurt if it succeeded.
 * What it returns:
 *   at least 0  it worked: something happened that "untrusted" forbids
 *   -errno      it was refused
 *   NOT_HERE    it has no meaning on this system, or the test has not handed over what it needs; see not_here()
 *
 * The test says by environment what there is:
 *   ESCAPE_TARGET    a process to attack; the parent without it
 *   ESCAPE_READABLE  a directory that may be read; it has a file "file" and links "link" and "up" that lead out of it
 *   ESCAPE_WRITABLE  a directory that may be written
 *   ESCAPE_SECRET    a directory that is not listed; it has a file "secret"
 *   ESCAPE_FDS       all fds that were handed over, with commas
 *   ESCAPE_DIRECTORY, ESCAPE_FILE, ESCAPE_TTY, ESCAPE_UNIX, ESCAPE_TCP, ESCAPE_UDP  fds: READABLE and its file, a
 *                    terminal, sockets that are not connected
 *   ESCAPE_ABSTRACT, ESCAPE_PORT, ESCAPE_SOCKET  where the test listens: an abstract name, a TCP port, a path
 *   ESCAPE_SHM, ESCAPE_QUEUE  what another process made: the id of a SysV segment, the name of a POSIX message queue
 *   ESCAPE_SERVER    the socket of a named server
 */

#include <stddef.h>
#include <sys/types.h>

#define NOT_HERE (-100000)

struct attempt {
        const char *name;
        int (*run)(void);
};

/* Each ends with an entry without a name. */
extern const struct attempt file_attempts[], write_attempts[], set_id_attempts[], process_attempts[], exec_attempts[],
        network_attempts[], namespace_attempts[], kernel_attempts[], privilege_attempts[], ipc_attempts[],
        call_attempts[], machinery_attempts[];

/* NOT_HERE, for this reason. */
int not_here(const char *why);
/* A system call's result: itself, or -errno. */
int from(long result);
/* The same of a call whose arguments are wrong on purpose: an error other than EPERM, EACCES and ENOSYS means that the
 * kernel has looked at them. So the call was let through, and worked for an attacker with better ones. */
int let_through(long result);

pid_t target(void);
const char *setting(const char *name);
/* The setting's path and a name in it; NULL if the test hasn't set it. It is overwritten by the next call. */
const char *path_in(const char *name, const char *file);
int fd_of(const char *name);

/* Runs it in a child, if one can be made, else in this process. What it returns has to be an error, or at least 0; if
 * it doesn't return because another program runs, that worked. */
int in_child(int (*run)(void));
/* In a thread of its own. */
int in_thread(int (*run)(void));

/* Reads a byte of this file: used by attempts that try it in another way. */
int open_secret(void);
int open_path(const char *path, int flags);

#endif
