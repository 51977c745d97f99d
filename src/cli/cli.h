/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_H
#define FORKSERVER_CLI_H

/* What the subcommands share. There is one file for each subcommand: each is `int cli_<name>(int argc, char **argv)`,
 * called with argv[0] being the subcommand's name; what it returns is the exit code. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "attribute_options.h"
#include "forkserver.h"

enum {
        CLI_EXIT_ITEMS_FAILED = 123, /* map: at least one item failed, as xargs(1) */
        CLI_EXIT_TIMED_OUT = 124,    /* the time-out's SIGTERM came and the process exited by itself, as timeout(1) */
        CLI_EXIT_OURS = 125,         /* our own failure, as timeout(1), env(1) */
        CLI_EXIT_CANNOT_RUN = 126,
        CLI_EXIT_NOT_FOUND = 127,
};

/* --sandbox, and what is made of it. */
struct cli_sandbox {
        const char *text; /* argv's; NULL: there is none */
        char **words;     /* of options of their own, as --ro-bind */
        size_t n_words;
        bool strict;
        bool learns;
        struct fsrv_sandbox *sandbox; /* sealed; NULL: there is none */
        uint32_t flags;               /* FSRV_SANDBOX_… */
        const char *word;             /* for a complaint */
};

/* What run and map have in common: how to reach a server and what to run. */
struct cli_target {
        const char **preload; /* NULL-terminated, the strings are argv's */
        size_t n_preload;
        const char *socket_path; /* NULL: a private server */
        uid_t server_uid;        /* FSRV_UID_OWN unless --server-uid */
        double wait;             /* for that server to listen, in seconds */
        const char *entry;       /* --call; NULL: a program */
        double timeout;          /* seconds, 0: none */
        double kill_after;       /* seconds from SIGTERM at the time-out to SIGKILL; 0: SIGKILL at once */
        bool quick_exit;
        const char *trace;      /* NULL: none */
        const char *program;    /* for its name in the trace, where there is no entry */
        const char *debug;      /* of run: the debugger, with words of its own; NULL: none */
        int preload_timeout_ms; /* 0: the library's */
        uint32_t memory;        /* enum fsrv_memory */
        struct cli_attributes attributes;
        struct cli_sandbox sandbox;
};

#define CLI_TARGET_INIT \
        { .server_uid = FSRV_UID_OWN }

int cli_run(int argc, char **argv);
int cli_call(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_map(int argc, char **argv);
int cli_serve(int argc, char **argv);
int cli_reload(int argc, char **argv);
int cli_stop(int argc, char **argv);
int cli_ping(int argc, char **argv);
int cli_stats(int argc, char **argv);
int cli_ps(int argc, char **argv);
int cli_top(int argc, char **argv);

/* common.c */

/* "forkserver: <text>\n" on standard error in one write. */
void cli_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
enum { CLI_ERROR_TEXT_SIZE = FSRV_ERROR_TEXT_SIZE + 128 };
/* Copies an error's text for people. If a long name has pushed its cause out, the cause is put back. */
void cli_error_text(const struct fsrv_error *error, char *text, size_t size);
/* Complains of an error of the library: "forkserver: <text> (stage <name>)"; the text has the cause in it. */
void cli_complain_error(const struct fsrv_error *error);
/* Fills *error as the library does, with ": <strerror>" after the text, and returns -err. */
int cli_fail(struct fsrv_error *error, uint32_t stage, int err, const char *text);
/* The exit code for an error of fsrv_spawn(). 127: no such program; 126: a program that cannot be run; 125: all else.
 */
int cli_exit_code_of_error(const struct fsrv_error *error);
/* Complains of misuse of a subcommand, by one line that ends in "(try 'forkserver <command> --help')". Returns
 * CLI_EXIT_OURS. */
int cli_usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Complains of the option for which getopt_long() returned '?' or ':'. It needs an option string that begins with "+:".
 */
int cli_bad_option(const char *command, int c, char **argv);

/* Opens the null device on standard streams that are closed, lest the next fd takes their number. It is opened so that
 * using it fails, as it would for a closed one. To be called first; cli_closed_streams has bit fd set for those. */
void cli_open_streams(void);
extern unsigned cli_closed_streams;

/* target.c */

int cli_target_add_preload(struct cli_target *target, const char *module);
void cli_target_done(struct cli_target *target);
/* Makes the handle for a target: a private one (preload policy fail) or the one at --socket. Complains on failure. */
int cli_target_open(const struct cli_target *target, struct fsrv_server **ret_server);
/* Connects to a server that may be about to listen. seconds: how long it has for that. */
int cli_connect(const char *path, uid_t server_uid, double seconds, struct fsrv_server **ret_server,
                struct fsrv_error *error);

/* The options of run, call and map that a target has, for getopt_long(). */
enum {
        CLI_OPT_CALL = 1000,
        CLI_OPT_PRELOAD,
        CLI_OPT_PRELOAD_TIMEOUT,
        CLI_OPT_MEMORY,
        CLI_OPT_SOCKET,
        CLI_OPT_SERVER_UID,
        CLI_OPT_WAIT,
        CLI_OPT_TIMEOUT,
        CLI_OPT_KILL_AFTER,
        CLI_OPT_QUICK_EXIT,
        CLI_OPT_SANDBOX,
        CLI_OPT_STRICT,
        CLI_OPT_RO_BIND,
        CLI_OPT_BIND,
        CLI_OPT_TMPFS,
        CLI_OPT_PROC,
        CLI_OPT_UNSHARE_NET,
        CLI_OPT_UNSHARE_IPC,
        CLI_OPT_UNSHARE_UTS,
        CLI_OPT_UNSHARE_USER,
        CLI_OPT_UNSHARE_CGROUP,
        CLI_OPT_SANDBOX_LEARN,
        CLI_OPT_SECCOMP_FILTER,
        CLI_OPT_TRACE
};
/* clang-format off */
#define CLI_TARGET_OPTIONS \
        { "preload", required_argument, NULL, CLI_OPT_PRELOAD }, \
        { "preload-timeout", required_argument, NULL, CLI_OPT_PRELOAD_TIMEOUT }, \
        { "memory", required_argument, NULL, CLI_OPT_MEMORY }, \
        { "socket", required_argument, NULL, CLI_OPT_SOCKET }, \
        { "server-uid", required_argument, NULL, CLI_OPT_SERVER_UID }, \
        { "wait", required_argument, NULL, CLI_OPT_WAIT }, \
        { "timeout", required_argument, NULL, CLI_OPT_TIMEOUT }, \
        { "kill-after", required_argument, NULL, CLI_OPT_KILL_AFTER }, \
        { "quick-exit", no_argument, NULL, CLI_OPT_QUICK_EXIT }, \
        { "sandbox", required_argument, NULL, CLI_OPT_SANDBOX }, \
        { "strict", no_argument, NULL, CLI_OPT_STRICT }, \
        { "ro-bind", required_argument, NULL, CLI_OPT_RO_BIND }, \
        { "bind", required_argument, NULL, CLI_OPT_BIND }, \
        { "tmpfs", required_argument, NULL, CLI_OPT_TMPFS }, \
        { "proc", required_argument, NULL, CLI_OPT_PROC }, \
        { "unshare-net", no_argument, NULL, CLI_OPT_UNSHARE_NET }, \
        { "unshare-ipc", no_argument, NULL, CLI_OPT_UNSHARE_IPC }, \
        { "unshare-uts", no_argument, NULL, CLI_OPT_UNSHARE_UTS }, \
        { "unshare-user", no_argument, NULL, CLI_OPT_UNSHARE_USER }, \
        { "unshare-cgroup", no_argument, NULL, CLI_OPT_UNSHARE_CGROUP }, \
        { "seccomp-filter", required_argument, NULL, CLI_OPT_SECCOMP_FILTER }, \
        { "trace", required_argument, NULL, CLI_OPT_TRACE }, \
        CLI_ATTRIBUTE_OPTIONS
/* clang-format on */

/* Takes the option `c` with its argument. 0, -errno with a complaint; 1: it is none of these. */
int cli_target_take_option(struct cli_target *target, int c);
/* MODULE:FUNCTION */
bool cli_is_entry(const char *text);

/* parse.c: options' arguments. 0, or -EINVAL with a complaint. */

/* Parse a whole number within [min, max], or complain naming `what`. */
int cli_parse_number(const char *what, const char *text, unsigned long min, unsigned long max,
                     unsigned long *ret_number);
/* One of `words`, which ends with NULL: its number. */
int cli_parse_word(const char *what, const char *text, const char *const words[], uint32_t *ret_number);
/* A whole number, with K, M, G or T for powers of 1,024; or "unlimited", which is RLIM_INFINITY. */
int cli_parse_size(const char *text, uint64_t *ret_size);
int cli_parse_memory(const char *text, uint32_t *ret_memory);
/* A time as sleep(1) has it, "1.5", "30s", "2m", "1h", "1d", and "100ms": in seconds. */
int cli_parse_seconds(const char *text, double *ret_seconds);
/* Rounded up, so that no time but 0 becomes 0. */
uint64_t cli_milliseconds(double seconds);
int cli_parse_preload_timeout(const char *text, int *ret_ms);
/* A user's name or number, for --server-uid, --allow-uid and --reuid; a group's. */
int cli_parse_uid(const char *what, const char *text, uid_t *ret_uid);
int cli_parse_gid(const char *what, const char *text, gid_t *ret_gid);
int cli_parse_socket(const char *text, const char **ret_path);

/* ---- learn_command.c ---- */

/* Runs the target in a child of ours, and says what its sandbox would have to give in addition. The exit code. */
int cli_learn(const struct cli_target *target, char **words);

/* ---- sandbox_words.c ---- */

/* Takes the value of --sandbox. 0; or -EINVAL, with a complaint. */
int cli_sandbox_take(struct cli_sandbox *sandbox, const char *text);
/* Takes an option that stands for one of the sandbox's words. 0, -errno with a complaint; 1: it is none of these. */
int cli_sandbox_take_option(struct cli_sandbox *sandbox, int c);
bool cli_sandbox_is_wanted(const struct cli_sandbox *sandbox);
/* Makes the sandbox that --sandbox describes, if it was given. 0; or -errno, with a complaint. */
int cli_sandbox_make(struct cli_sandbox *sandbox);
/* The same, and calls report() for each rule, as fsrv_sandbox_seal() does. */
int cli_sandbox_make_and_report(struct cli_sandbox *sandbox,
                                void (*report)(const struct fsrv_sandbox_rule *rule, void *data), void *data);
void cli_sandbox_done(struct cli_sandbox *sandbox);

/* json.c: a string with its quotes. Bytes that aren't UTF-8 become \\udc80 to \\udcff, as Python's "surrogateescape"
 * has them. */
void cli_json_string(FILE *out, const char *text);

/* death.c */

/* Ends this process by the signal, without a core dump, so that its parent sees what a job's end or ^C would show.
 * Returns 128 + the signal where it ends nothing (pid 1, or a signal that by default does nothing). */
int cli_die_by(int signal);
/* "SIGSEGV", or "signal 70". */
const char *cli_signal_name(int signal, char text[32]);

/* init.c */

/* Pid 1 has to reap orphans, and no signal ends it. So a child goes on as the command and gets the signals that come;
 * we end as it does. Returns in that child, and at once where we aren't pid 1. 0 or -errno with a complaint. */
int cli_leave_pid_1(void);

/* The number of a process in our pid namespace, for our own system calls; 0 if it has none, as that of a server in
 * another one. */
pid_t cli_own_number(const struct fsrv_process *process, const struct cli_target *target);

/* descriptors.c */

/* Closes all fds but these, which it sorts; below 0 is none. */
void cli_close_all_but(int *kept, size_t n);

/* terminal.c */

/* Makes the process group the foreground one of our terminal, as a shell does for a job. 0; -EPERM: neither is ours it,
 * nor has it been lent by us; or another errno, as without a terminal. */
int cli_terminal_lend(pid_t pgid);
/* Makes our own group the foreground one again, if the terminal is lent; whether it was. */
bool cli_terminal_take_back(void);
/* Whether our group is its foreground one, or has lent that. */
bool cli_terminal_is_ours(void);

/* inherited.c: fds besides the standard streams that our caller means our processes to have, such as those of
 * `run cat <(ls)`, make's jobserver or a lock. They go along under their own numbers. */

struct cli_inherited {
        int *fds;
        size_t n;
};

/* To be called before we open any. 0 or -ENOMEM. */
int cli_inherited_collect(struct cli_inherited *inherited);
/* Adds what gives them to a process, and closes the standard streams that were closed for us. 0 or -errno. */
int cli_inherited_pass_on(const struct cli_inherited *inherited, struct fsrv_request *request);
void cli_inherited_done(struct cli_inherited *inherited);

/* signals.c */

struct cli_signals {
        int fd; /* a signalfd */
        sigset_t before;
};

/* Blocks all signals that run passes on; to be called before the worker starts. */
int cli_signals_block(struct cli_signals *signals, struct fsrv_error *error);
/* Those that wait take effect, as if they had not been blocked. Returns if that doesn't end us. */
void cli_signals_let_through(const struct cli_signals *signals);
/* Signals are as before cli_signals_block(); those that wait take effect. */
void cli_signals_restore(const struct cli_signals *signals);
/* Waits for run's worker; signals that come meanwhile are passed on, and a worker that stops is followed into the stop.
 * `shares_group`: the worker is in our process group, so the terminal's signals reach it without us; else it leads a
 * group, which gets the terminal when it needs it. `number`: cli_own_number(). */
int cli_wait_as_worker(struct fsrv_process *process, pid_t number, const struct cli_signals *signals, bool shares_group,
                       struct fsrv_status *ret_status, struct fsrv_error *error);

/* ---- only_process.c: what run and call do with their process ---- */

/* Spawns it, and blocks signals for cli_only_process_wait(). 0; or the exit code, after a complaint. */
int cli_only_process_spawn(struct fsrv_server *server, struct fsrv_request *request, const struct cli_target *target,
                           struct cli_signals *signals, struct fsrv_process **ret_process);
/* Waits for its end; signals are passed on. The exit code, unless a signal has ended it. */
int cli_only_process_wait(struct fsrv_process *process, const struct cli_target *target,
                          const struct cli_signals *signals, struct fsrv_status *ret_status);
void cli_complain_of_death(const struct fsrv_status *status, const struct cli_target *target, const char *name);

#endif
