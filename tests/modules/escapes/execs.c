/* SPDX-License-Identifier: MIT */
/* Running another program. Each is tried in a child, where one can be made. */
#define _GNU_SOURCE
#include "escapes.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static char *const arguments[] = { (char *)"true", NULL };

static int run_true(void) {
        return from(execve("/bin/true", arguments, environ));
}

static int exec_program(void) {
        return in_child(run_true);
}

static int run_set_user_id(void) {
        char *const su[] = { (char *)"su", (char *)"--version", NULL };

        fcntl(STDOUT_FILENO, F_SETFD, FD_CLOEXEC); /* its output would lie between our lines */
        return from(execve("/bin/su", su, environ));
}

static int exec_set_user_id(void) {
        return in_child(run_set_user_id);
}

static int run_by_fd(void) {
        int fd = open("/bin/true", O_PATH | O_CLOEXEC);

        return fd < 0 ? -errno : from(syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH));
}

static int exec_by_fd(void) {
        return in_child(run_by_fd);
}

/* A copy of a program in memory has no path that a rule could name. */
static int run_memory(void) {
        int program = open("/bin/true", O_RDONLY | O_CLOEXEC), fd = memfd_create("program", MFD_CLOEXEC);
        char bytes[4096];
        ssize_t n;

        if (program < 0 || fd < 0)
                return -errno;
        while ((n = read(program, bytes, sizeof bytes)) > 0)
                if (write(fd, bytes, (size_t)n) != n)
                        return -errno;
        return from(syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH));
}

static int exec_memory(void) {
        return in_child(run_memory);
}

/* A program that was made here, where files may be made and none executed. */
static int run_made(void) {
        const char *path = path_in("ESCAPE_WRITABLE", "program");
        int program = open("/bin/true", O_RDONLY | O_CLOEXEC), fd;
        char bytes[4096];
        ssize_t n;

        if (!path)
                return not_here("the test has not named it");
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
        if (program < 0 || fd < 0)
                return -errno;
        while ((n = read(program, bytes, sizeof bytes)) > 0)
                if (write(fd, bytes, (size_t)n) != n)
                        return -errno;
        close(fd);
        return from(execve(path, arguments, environ));
}

static int exec_made(void) {
        return in_child(run_made);
}

static int run_itself(void) {
        char *const itself[] = { (char *)"itself", (char *)"--version", NULL };

        return from(execve("/proc/self/exe", itself, environ));
}

static int exec_itself(void) {
        return in_child(run_itself);
}

static int run_loader(void) {
        char *const loader[] = { (char *)"ld.so", (char *)"/bin/true", NULL };

        return from(execve("/lib64/ld-linux-x86-64.so.2", loader, environ));
}

static int exec_loader(void) {
        return in_child(run_loader);
}

static int exec_in_thread(void) {
        return in_thread(exec_program);
}

/* A path that isn't there: with a filter the error says whether the kernel has looked for it. */
static int exec_nothing(void) {
        return let_through(execve("/nonexistent", arguments, environ));
}

static int spawn_program(void) {
        pid_t pid;
        int r = posix_spawn(&pid, "/bin/true", NULL, NULL, arguments, environ);

        if (r == 0)
                waitpid(pid, NULL, 0);
        return -r;
}

static int run_shell(void) {
        int status = system("exit 7");

        if (status < 0)
                return -errno;
        return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : -EACCES;
}

static int vfork_program(void) {
        volatile int error = 0;
        pid_t pid = vfork();

        if (pid == 0) {
                execve("/bin/true", arguments, environ);
                error = errno;
                _exit(1);
        }
        if (pid < 0)
                return -errno;
        waitpid(pid, NULL, 0);
        return -error;
}

static int use_library(void) {
#ifdef SYS_uselib
        return let_through(syscall(SYS_uselib, "/nonexistent"));
#else
        return not_here("this architecture has no uselib(2)");
#endif
}

const struct attempt exec_attempts[] = {
        { "exec_program", exec_program }, { "exec_set_user_id", exec_set_user_id },
        { "exec_by_fd", exec_by_fd },     { "exec_memory", exec_memory },
        { "exec_made", exec_made },       { "exec_itself", exec_itself },
        { "exec_loader", exec_loader },   { "exec_in_thread", exec_in_thread },
        { "exec_nothing", exec_nothing }, { "spawn_program", spawn_program },
        { "run_shell", run_shell },       { "vfork_program", vfork_program },
        { "use_library", use_library },   { NULL, NULL },
};
