/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "run_debug.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MS = 20 };

/* A line "Name:\tvalue" of the process's status: the value's first character; 0: there is none. */
static char status_of(pid_t pid, const char *name) {
        char path[64], line[256], found = 0;
        size_t n = strlen(name);

        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        FILE *file = fopen(path, "re");
        while (file && !found && fgets(line, sizeof line, file))
                if (strncmp(line, name, n) == 0 && line[n] == ':')
                        found = line[n + 1 + strspn(line + n + 1, " \t")];
        if (file)
                fclose(file);
        return found;
}

static bool is_stopped(pid_t pid) {
        return status_of(pid, "State") == 'T';
}

/* 1 when it has stopped itself; 0: it has ended instead. */
static int wait_for_stop(struct fsrv_process *process) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error = { 0 };
        int r;

        while ((r = fsrv_process_wait(process, -1, &status, &error)) == 1)
                if (status.flags & FSRV_STATUS_STOPPED)
                        return 1;
        return 0;
}

/* A debugger would say it in its own words, or wait at its prompt with nothing to debug. A process that was stopped is
 * stopped again afterwards. */
static int try_to_trace(pid_t pid) {
        if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
                return -errno;
        waitpid(pid, NULL, __WALL);
        return ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0 ? -errno : 0;
}

/* ---- the command ---- */

static bool is_called(const char *command, const char *name) {
        size_t n = strcspn(command, " \t");
        const char *slash = memrchr(command, '/', n), *last = slash ? slash + 1 : command;

        return (size_t)(command + n - last) == strlen(name) && strncmp(last, name, strlen(name)) == 0;
}

/* The debugger's command that has the process stop in the function, or where the program begins. The caller frees it.
 */
static char *stopping(const char *command, const char *function) {
        char *text = NULL;
        int r;

        if (!function)
                return strdup(is_called(command, "gdb") ? "catch exec" : "breakpoint set --name main");
        if (is_called(command, "gdb"))
                r = asprintf(&text, "break %s", function);
        else
                r = asprintf(&text, "breakpoint set --name %s", function);
        return r < 0 ? NULL : text;
}

/* Runs the shell's script with these words. 0 or errno. */
static int run(char *script, char *number, char *stop, const char *command, const sigset_t *mask, pid_t *ret_debugger) {
        /* The SIGSTOP that the worker has sent itself is no news to anybody, nor is the SIGCONT of a shell's fg. */
        char *const for_gdb[] = { "sh",   "-c",
                                  script, "sh",
                                  "-p",   number,
                                  "-ex",  "set breakpoint pending on",
                                  "-ex",  "handle SIGSTOP nostop noprint nopass",
                                  "-ex",  "handle SIGCONT nostop noprint",
                                  "-ex",  stop,
                                  "-ex",  "continue",
                                  NULL };
        char *const for_lldb[] = { "sh", "-c",   script, "sh",
                                   "-p", number, "-o",   "process handle -s false -n false -p false SIGSTOP",
                                   "-o", stop,   "-o",   "continue",
                                   NULL };
        char *const for_any[] = { "sh", "-c", script, "sh", "-p", number, NULL };
        char *const *words = for_any;
        posix_spawnattr_t attributes;

        if (is_called(command, "gdb"))
                words = for_gdb;
        else if (is_called(command, "lldb"))
                words = for_lldb;
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setsigmask(&attributes, mask);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
        int err = posix_spawn(ret_debugger, "/bin/sh", NULL, &attributes, words, environ);
        posix_spawnattr_destroy(&attributes);
        return err;
}

/* Our words stand behind the debugger's name, before those that the user has given it. They go through a shell, which
 * takes them apart. 0 or errno. */
static int start(const char *command, const char *function, pid_t pid, const struct cli_signals *signals,
                 pid_t *ret_debugger) {
        int n = (int)strcspn(command, " \t"), err = ENOMEM;
        char *script = NULL, *stop = stopping(command, function), number[16];

        snprintf(number, sizeof number, "%d", (int)pid);
        if (asprintf(&script, "exec %.*s \"$@\"%s", n, command, command + n) < 0)
                script = NULL;
        if (script && stop)
                err = run(script, number, stop, command, &signals->before, ret_debugger);
        free(stop);
        free(script);
        return err;
}

/* ---- while it runs ---- */

/* Another tool than a debugger (strace) waits for what the process does. */
static void let_go_on_if_traced(pid_t pid, bool *is_gone) {
        if (*is_gone || status_of(pid, "TracerPid") == '0')
                return;
        kill(pid, SIGCONT);
        *is_gone = true;
}

/* The terminal's signals reach debugger and worker without us, and mustn't reach the worker once more afterwards. What
 * was sent to us alone is the worker's. */
static void take_signals(struct fsrv_process *process, const struct cli_signals *signals) {
        struct signalfd_siginfo info;

        while (read(signals->fd, &info, sizeof info) == (ssize_t)sizeof info)
                if (info.ssi_code != SI_KERNEL && info.ssi_signo != SIGCONT && info.ssi_signo != SIGTSTP)
                        fsrv_process_kill(process, (int)info.ssi_signo);
}

/* Until it has ended; its status. When the terminal stops the debugger, we stop, so that the shell has its terminal. */
static int wait_for_debugger(pid_t debugger, struct fsrv_process *process, pid_t pid, bool knows_stops,
                             const struct cli_signals *signals) {
        struct pollfd entry = { .fd = signals->fd, .events = POLLIN };
        bool is_gone = knows_stops;
        int status = 0;

        for (;;) {
                pid_t r = waitpid(debugger, &status, WUNTRACED | WNOHANG);
                if (r == debugger && WIFSTOPPED(status))
                        raise(SIGSTOP);
                else if (r == debugger || (r < 0 && errno != EINTR))
                        break;
                let_go_on_if_traced(pid, &is_gone);
                poll(&entry, 1, LOOK_MS);
                take_signals(process, signals);
        }
        take_signals(process, signals);
        return status;
}

int cli_debug(struct fsrv_process *process, const struct cli_target *target, const struct cli_signals *signals) {
        pid_t pid = cli_own_number(process, target), debugger;
        const char *command = target->debug + strspn(target->debug, " \t");
        const char *function = target->entry ? strrchr(target->entry, ':') + 1 : NULL;

        if (wait_for_stop(process) == 0)
                return 0; /* its end is told as ever */
        int r = pid > 0 ? try_to_trace(pid) : -ESRCH;
        if (r < 0) {
                cli_complain("--debug: this system lets no debugger attach to the process: %s", strerror(-r));
                return CLI_EXIT_OURS;
        }
        bool knows_stops = is_called(command, "gdb") || is_called(command, "lldb");
        int err = start(command, function, pid, signals, &debugger);
        if (err) {
                cli_complain("--debug: cannot run '%s': %s", command, strerror(err));
                return CLI_EXIT_OURS;
        }
        int status = wait_for_debugger(debugger, process, pid, knows_stops, signals);
        if (WIFEXITED(status) && (WEXITSTATUS(status) == 127 || WEXITSTATUS(status) == 126) && is_stopped(pid)) {
                cli_complain("--debug: '%s' could not be run, so the process wasn't either", command);
                return CLI_EXIT_OURS;
        }
        if (is_stopped(pid)) /* gdb leaves it as it has found it */
                fsrv_process_kill(process, SIGCONT);
        return 0;
}
