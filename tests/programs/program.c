/* SPDX-License-Identifier: MIT */
/*
 * program [WORD…] FD: a spawner (spawner.c) that is its own zygote. What it does before fsrv_zygote_enter() is told by
 * the environment, since its zygote has the same arguments:
 *   PROGRAM_LOG   a file to which each run of that code adds a line: pid, number of arguments, arguments
 *   PROGRAM_MODE  what else to do; "…_in_zygote": in every run but the first
 * program probe: says on standard output what it takes itself for.
 * program forks: spawns from a forked child, too.
 */
#undef main
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <forkserver.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int spawner_main(int argc, char **argv);

static struct fsrv_error error;

static bool mode_is(const char *mode) {
        const char *given = getenv("PROGRAM_MODE");

        return given && strcmp(given, mode) == 0;
}

/* One write, so that lines of several processes don't mix. */
static void add_line(const char *text) {
        const char *path = getenv("PROGRAM_LOG");
        char line[4096];
        int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
        int n = snprintf(line, sizeof line, "%s\n", text);

        if (fd >= 0)
                (void)!write(fd, line, (size_t)n);
        close(fd);
}

static bool is_first(void) {
        const char *path = getenv("PROGRAM_LOG");

        return !path || access(path, F_OK) != 0;
}

/* ---- what is prepared ---- */

static long *table; /* squares; in memory of malloc's */
static pid_t builder;

enum { TABLE_SIZE = 100000 };

static void build(void) {
        table = malloc(TABLE_SIZE * sizeof *table);
        for (long i = 0; i < TABLE_SIZE; i++)
                table[i] = i * i;
        builder = getpid();
}

/* Handlers of the program's own, registered before the library's. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int prepared, in_parent, in_child;

static void prepare(void) {
        sigset_t all, before;

        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, &before);
        pthread_mutex_lock(&lock);
        prepared++;
        free(malloc(200000)); /* by mmap(2) */
        add_line("prepare");
        sigprocmask(SIG_SETMASK, &before, NULL);
}

static void parent(void) {
        in_parent++;
        pthread_mutex_unlock(&lock);
}

static void child(void) {
        in_child++;
        pthread_mutex_unlock(&lock);
        add_line("child");
}

static void on_signal(int number) {
        (void)number;
        add_line("signal");
}

/* Comes when the mask is as it was: between two system calls. */
static void raise_signal(void) {
        sigset_t set, before;

        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigprocmask(SIG_BLOCK, &set, &before);
        raise(SIGUSR1);
        sigprocmask(SIG_SETMASK, &before, NULL);
}

static void at_end(void) {
        char line[32];

        snprintf(line, sizeof line, "atexit %d", (int)getpid());
        add_line(line);
}

/* ---- spawning from here ---- */

static int complain(const char *what, int r) {
        fprintf(stderr, "%s: %s, stage %s: %s\n", what, strerrorname_np(-r), fsrv_stage_name(error.stage), error.text);
        return 90;
}

/* The exit code of one process. */
static int run_one(struct fsrv_server *server, const char *entry, const char *word) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_request *request;
        struct fsrv_process *process;
        int r;

        if (fsrv_request_new(&request) < 0 || fsrv_request_set_entry(request, entry) < 0 ||
            fsrv_request_set_argv(request, (const char *const[]){ entry, word, NULL }) < 0)
                return 91;
        r = fsrv_spawn(server, request, &process, &error);
        fsrv_request_free(request);
        if (r < 0)
                return complain("spawn", r);
        r = fsrv_process_wait(process, 60000, &status, &error);
        fsrv_process_unref(process);
        if (r < 0)
                return complain("wait", r);
        return status.signal ? 128 + status.signal : status.exit_code;
}

static int new_server(struct fsrv_server **ret_server) {
        struct fsrv_server_options options = { .size = sizeof options,
                                               .preload = (const char *const[]){ FSRV_PRELOAD_MAIN, NULL } };

        return fsrv_server_new(&options, ret_server, &error);
}

static int run_in_own_server(const char *entry, const char *word) {
        struct fsrv_server *server;
        int r = new_server(&server);

        if (r < 0)
                return complain("new", r);
        r = run_one(server, entry, word);
        fsrv_server_free(server);
        return r;
}

/* ---- entry points ---- */

static int state(int argc, char **argv) {
        (void)argc;
        (void)argv;
        printf("{\"pid\":%d,\"parent\":%d,\"builder\":%d,\"last\":%ld}", (int)getpid(), (int)getppid(), (int)builder,
               table ? table[TABLE_SIZE - 1] : -1);
        return 0;
}

static int echo(int argc, char **argv) {
        for (int i = 0; i < argc; i++)
                printf("%s\n", argv[i]);
        return 0;
}

static int exit_with(int argc, char **argv) {
        return argc > 1 ? atoi(argv[1]) : 0;
}

static int crash(int argc, char **argv) {
        (void)argc;
        (void)argv;
        abort();
}

static int hang(int argc, char **argv) {
        (void)argc;
        (void)argv;
        while (pause() < 0)
                ;
        return 0;
}

/* nest DEPTH: spawns itself from its own server; exits with the number of processes below, plus 1 */
static int nest(int argc, char **argv) {
        struct fsrv_server *server;
        int left = argc > 1 ? atoi(argv[1]) : 0, r;
        char word[16];

        if (left == 0 || table[left] != (long)left * left)
                return 1;
        r = fsrv_server_inherit(&server, &error);
        if (r < 0)
                return complain("inherit", r);
        snprintf(word, sizeof word, "%d", left - 1);
        r = run_one(server, argv[0], word);
        fsrv_server_free(server);
        return 1 + r;
}

/* own WORD: a worker that starts a server of its own, whose zygote is this program again */
static int own(int argc, char **argv) {
        return argc > 1 ? run_in_own_server(":exit_with", argv[1]) : 92;
}

static int handlers(int argc, char **argv) {
        (void)argc;
        (void)argv;
        printf("%d %d %d", prepared > 0, in_child > 0, pthread_mutex_trylock(&lock));
        return 0;
}

static const struct fsrv_entry entries[];

static int again(int argc, char **argv) {
        return -fsrv_zygote_enter(argc, argv, entries, NULL);
}

static const struct fsrv_entry entries[] = {
        { "state", state }, { "echo", echo }, { "exit_with", exit_with }, { "crash", crash }, { "hang", hang },
        { "nest", nest },   { "own", own },   { "handlers", handlers },   { "again", again }, { NULL, NULL },
};

/* ---- before the call ---- */

static void log_run(int argc, char **argv) {
        char line[2048];
        int n = snprintf(line, sizeof line, "%d %d", (int)getpid(), argc);

        for (int i = 0; i < argc; i++)
                n += snprintf(line + n, sizeof line - (size_t)n, " %s", argv[i]);
        add_line(line);
}

/* A spawn from ourselves, before the call: in the program and in its zygote. */
static void spawn_early(void) {
        char line[512];
        int r = 0;
        struct fsrv_server *server;

        if (new_server(&server) == 0) {
                r = fsrv_server_ensure_running(server, &error);
                fsrv_server_free(server);
        }
        snprintf(line, sizeof line, "early %s %s %s", r < 0 ? strerrorname_np(-r) : "0", fsrv_stage_name(error.stage),
                 error.text);
        add_line(line);
}

/* What goes wrong in the zygote alone. */
static void fail(void) {
        if (mode_is("exit_in_zygote"))
                exit(3);
        if (mode_is("crash_in_zygote"))
                abort();
        if (mode_is("hang_in_zygote"))
                hang(0, NULL);
        if (mode_is("close_in_zygote"))
                for (int fd = 3; fd < 100; fd++)
                        close(fd);
        if (mode_is("fork_in_zygote") && fork() > 0)
                _exit(0);
}

static int call(int argc, char **argv) {
        static const struct fsrv_entry bad_name[] = { { "", echo }, { NULL, NULL } };
        static const struct fsrv_entry bad_function[] = { { "x", NULL }, { NULL, NULL } };
        int r;

        if (mode_is("bad"))
                return fsrv_zygote_enter(argc, NULL, entries, &error) == -EINVAL &&
                                       fsrv_zygote_enter(argc, argv, NULL, &error) == -EINVAL &&
                                       fsrv_zygote_enter(argc, argv, bad_name, &error) == -EINVAL &&
                                       fsrv_zygote_enter(argc, argv, bad_function, &error) == -EINVAL
                               ? 0
                               : -EPROTO;
        r = fsrv_zygote_enter(argc, argv, entries, &error);
        if (r == 0 && mode_is("twice") && (r = fsrv_zygote_enter(argc, argv, entries, &error)) == -EALREADY) {
                add_line("twice EALREADY");
                r = 0;
        }
        return r;
}

/* ---- the program ---- */

static int fork_and_spawn(void) {
        struct fsrv_server *server;
        int status;

        if (new_server(&server) < 0 || run_one(server, ":exit_with", "11") != 11)
                return 1;
        pid_t pid = fork();
        if (pid == 0) {
                bool shared = run_one(server, ":exit_with", "12") == 12;
                _exit(shared && run_in_own_server(":exit_with", "13") == 13 ? 14 : 1);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
                return 2;
        fsrv_server_free(server);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

int main(int argc, char **argv) {
        bool first = is_first(), probe = argc == 2 && strcmp(argv[1], "probe") == 0;
        char command[4096];

        if (probe)
                unsetenv("PROGRAM_LOG");
        log_run(argc, argv);
        if (mode_is("prints"))
                printf("prepared\n");
        if (mode_is("early"))
                spawn_early();
        if (mode_is("handlers"))
                pthread_atfork(prepare, parent, child);
        if (mode_is("signals")) {
                signal(SIGUSR1, on_signal);
                pthread_atfork(raise_signal, NULL, NULL);
        }
        if (mode_is("atexit"))
                atexit(at_end);
        if (mode_is("permute") && argc > 2) { /* as getopt(3) does */
                char *second = argv[1];
                argv[1] = argv[2];
                argv[2] = second;
        }
        if (mode_is("helper") && !probe) { /* another program of the kind, which has all our fds that are inherited */
                snprintf(command, sizeof command, "'%s' probe >> \"$PROGRAM_LOG\"", argv[0]);
                (void)!system(command);
        }
        if (!first)
                fail();
        build();
        if (call(argc, argv) < 0) {
                fprintf(stderr, "program: %s\n", error.text);
                return 7;
        }
        if (probe)
                return puts("ordinary") < 0;
        if (argc == 2 && strcmp(argv[1], "forks") == 0)
                return fork_and_spawn();
        return spawner_main(2, (char *[]){ argv[0], argv[argc - 1], NULL });
}
