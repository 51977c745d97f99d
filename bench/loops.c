/* SPDX-License-Identifier: MIT */
/*
 * loops MODULE [ballast MIB | huge MIB] [threads N] [standbys N] [memory MODE] [sandbox PROFILE] [user UID]: spawns as
 * it is told, line by line, so that bench.py can have several programs measured by turns. PROFILE network is untrusted
 * with a network namespace. Each line "CASE DEPTH N" is answered with the microseconds that one of N took, DEPTH of
 * them at a time (not "run:", "call:" and "pipe:CASE"); "idle N" with 0 when there are N idle workers; "sandboxes N"
 * with 0 when a process has run in N sandboxes; "pids" with the server's and the zygote's.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "forkserver.h"
#include "jails.h"

enum { DEPTH_MAX = 64 };

extern char **environ;
static struct fsrv_server *server;
static const char *module;
static char *ballast;
static size_t ballast_size;
static struct fsrv_sandbox *sandbox; /* of all requests; NULL: none */
static uid_t user;                   /* likewise; 0: ours */

static void die(const char *what, const struct fsrv_error *error) {
        fprintf(stderr, "loops: %s: %s\n", what, error ? error->text : "failed");
        exit(1);
}

static double now(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* ---- ours ---- */

static struct fsrv_request *request_for(const char *name) {
        struct fsrv_request *request;
        char entry[4096];
        int r = fsrv_request_new(&request);

        if (r == 0 && strcmp(name, "exec") == 0) {
                r = fsrv_request_set_program(request, "/bin/true");
        } else if (r == 0) {
                snprintf(entry, sizeof entry, "%s:%s", module, name);
                r = fsrv_request_set_entry(request, entry);
        }
        if (r == 0 && sandbox)
                r = fsrv_request_set_sandbox(request, sandbox);
        const struct fsrv_attributes ids = {
                .size = sizeof ids, .mask = FSRV_ATTRIBUTE_UID | FSRV_ATTRIBUTE_GID, .uid = user, .gid = user
        };
        if (r == 0 && user)
                r = fsrv_request_set_attributes(request, &ids, NULL);
        if (r < 0)
                die(name, NULL);
        return request;
}

static struct fsrv_process *start(const struct fsrv_request *request) {
        struct fsrv_process *process;
        struct fsrv_error error;

        if (fsrv_spawn(server, request, &process, &error) < 0)
                die("spawn", &error);
        return process;
}

static void finish(struct fsrv_process *process, int code) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error;

        if (fsrv_process_wait(process, 60000, &status, &error) < 0)
                die("wait", &error);
        if (status.exit_code != code)
                die("the exit code", NULL);
        fsrv_process_unref(process);
}

static void spawns(const char *name, int depth, int n) {
        struct fsrv_request *request = request_for(name);
        int code = strcmp(name, "exec") == 0 ? 0 : 7;
        struct fsrv_process *running[DEPTH_MAX] = { NULL };

        for (int i = 0; i < n; i++) {
                if (running[i % depth])
                        finish(running[i % depth], code);
                running[i % depth] = start(request);
        }
        for (int i = 0; i < depth; i++)
                if (running[i])
                        finish(running[i], code);
        fsrv_request_free(request);
}

/* The same by fsrv_spawn_many(): `depth` at once, and then the next. */
static void many(const char *name, int depth, int n) {
        struct fsrv_request *request = request_for(name);
        int code = strcmp(name, "exec") == 0 ? 0 : 7;
        struct fsrv_process *running[DEPTH_MAX];
        struct fsrv_error error;

        for (int left = n; left > 0; left -= depth) {
                int at_once = left < depth ? left : depth;
                if (fsrv_spawn_many(server, request, (size_t)at_once, running, &error) != at_once)
                        die("spawn_many", &error);
                for (int i = 0; i < at_once; i++)
                        finish(running[i], code);
        }
        fsrv_request_free(request);
}

/* The same by fsrv_run(). */
static void runs(const char *name, int n) {
        struct fsrv_request *request = request_for(name);
        int code = strcmp(name, "exec") == 0 ? 0 : 7;
        struct fsrv_error error;

        for (int i = 0; i < n; i++) {
                struct fsrv_status status = { .size = sizeof status };
                if (fsrv_run(server, request, &status, &error) < 0)
                        die("run", &error);
                if (status.exit_code != code)
                        die("the exit code", NULL);
        }
        fsrv_request_free(request);
}

/* ---- calls ---- */

/* What a result is for. */
static void read_all(const void *bytes, size_t n) {
        const unsigned long *words = bytes;
        unsigned long sum = 0;

        for (size_t i = 0; i < n / sizeof *words; i++)
                sum += words[i];
        *(volatile unsigned long *)&sum = sum;
}

/* 1 KiB in; what comes out is read. */
static void calls(const char *name, int n) {
        struct fsrv_request *request = request_for(name);
        static const char input[1024];
        struct fsrv_error error;

        for (int i = 0; i < n; i++) {
                struct fsrv_result result = { .size = sizeof result };
                if (fsrv_call(server, request, input, sizeof input, &result, &error) < 0)
                        die("call", &error);
                read_all(result.bytes, result.n);
                fsrv_result_free(&result);
        }
        fsrv_request_free(request);
}

/* The same by standard output: all of it into one piece of memory. */
static void pipes(const char *name, int n) {
        enum { LARGE = 64 << 20 };
        struct fsrv_request *request = request_for(name);
        struct fsrv_error error;

        for (int i = 0; i < n; i++) {
                struct fsrv_process *process;
                char *bytes = malloc(LARGE);
                size_t size = 0;
                ssize_t k;
                int fds[3];
                if (fsrv_spawn_pipes(server, request, FSRV_PIPE_STDOUT, fds, &process, &error) < 0)
                        die("spawn", &error);
                while (bytes && (k = read(fds[1], bytes + size, LARGE - size)) > 0)
                        size += (size_t)k;
                close(fds[1]);
                finish(process, 0);
                if (size != LARGE)
                        die("the pipe", NULL);
                read_all(bytes, size);
                free(bytes);
        }
        fsrv_request_free(request);
}

/* Their handles are never given up: they live until we end. */
static void idle(int n) {
        struct fsrv_request *request = request_for("wait_for_ever");

        fsrv_request_set_flags(request, FSRV_SPAWN_KILL_ON_CLOSE);
        for (int i = 0; i < n; i++)
                start(request);
        fsrv_request_free(request);
}

/* One process in each of n sandboxes, which have a zygote each then. */
static void sandboxes(int n) {
        for (int i = 1; i <= n; i++) {
                sandbox = make_sandbox("untrusted", i);
                runs("noop", 1);
                sandbox = fsrv_sandbox_unref(sandbox);
        }
}

/* ---- the peers ---- */

static pid_t start_peer(const char *name) {
        static char *const argv[] = { (char *)"true", NULL };
        pid_t pid;

        if (strcmp(name, "posix_spawn") == 0)
                return posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) == 0 ? pid : -1;
        if (strncmp(name, "jail:", 5) == 0)
                return start_jail(name + 5);
        pid = fork();
        if (pid != 0)
                return pid;
        if (strcmp(name, "fork_exec") == 0) {
                execv("/bin/true", argv);
                _exit(1);
        }
        if (strcmp(name, "fork_write") == 0)
                for (size_t at = 0; at < ballast_size / 100; at += 4096)
                        ballast[at] = 2;
        if (strcmp(name, "fork_read") == 0)
                for (size_t at = 0; at < ballast_size; at += 4096)
                        (void)*(volatile char *)(ballast + at);
        _exit(0);
}

static void forks(const char *name, int depth, int n) {
        pid_t running[DEPTH_MAX] = { 0 };
        int status;

        for (int i = 0; i < n + depth; i++) {
                pid_t *slot = &running[i % depth];
                if (*slot && (waitpid(*slot, &status, 0) != *slot || status != 0))
                        die(name, NULL);
                *slot = 0;
                if (i < n && (*slot = start_peer(name)) < 0)
                        die(name, NULL);
        }
}

/* AFL++'s fork server, by its own protocol (instrumentation/README.persistent_mode.md): four bytes there start a
 * process, and its pid and then its status come back. */
static void afl(const char *target, int n) {
        static int to = -1, from = -1;
        int control[2], status[2], word = 0;

        if (to < 0) {
                if (pipe(control) < 0 || pipe(status) < 0)
                        die("pipe", NULL);
                if (fork() == 0) {
                        if (dup2(control[0], 198) < 0 || dup2(status[1], 199) < 0)
                                _exit(1);
                        close(control[0]);
                        close(control[1]);
                        close(status[0]);
                        close(status[1]);
                        execl(target, target, (char *)NULL);
                        _exit(1);
                }
                close(control[0]);
                close(status[1]);
                to = control[1];
                from = status[0];
                if (read(from, &word, sizeof word) != sizeof word)
                        die("AFL's fork server", NULL);
        }
        for (int i = 0; i < n; i++) {
                int pid;
                word = 0;
                if (write(to, &word, sizeof word) != sizeof word || read(from, &pid, sizeof pid) != sizeof pid ||
                    read(from, &word, sizeof word) != sizeof word || !WIFEXITED(word) || WEXITSTATUS(word) != 7)
                        die("AFL's fork server", NULL);
        }
}

/* ---- */

static void obey(const char *name, int depth, int n) {
        double begin = now();

        if (strncmp(name, "fork", 4) == 0 || strcmp(name, "posix_spawn") == 0 || strncmp(name, "jail:", 5) == 0)
                forks(name, depth, n);
        else if (name[0] == '/')
                afl(name, n);
        else if (strncmp(name, "run:", 4) == 0)
                runs(name + 4, n);
        else if (strncmp(name, "call:", 5) == 0)
                calls(name + 5, n);
        else if (strncmp(name, "pipe:", 5) == 0)
                pipes(name + 5, n);
        else if (strncmp(name, "many:", 5) == 0)
                many(name + 5, depth, n);
        else
                spawns(name, depth, n);
        printf("%.3f\n", (now() - begin) / n);
}

static void tell_pids(void) {
        struct fsrv_stats stats = { .size = sizeof stats };
        struct fsrv_error error;

        if (fsrv_server_get_stats(server, &stats, &error) < 0)
                die("stats", &error);
        printf("%d %d %llu\n", (int)stats.server_pid, (int)stats.zygote_pid, (unsigned long long)stats.memory_frozen);
}

static void *sleep_on(void *data) {
        for (;;)
                pause();
        return data;
}

/* In pages of 4 KiB or of 2 MiB, whatever the machine's default is. */
static void take_ballast(size_t size, int advice) {
        ballast = mmap(NULL, size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (ballast == MAP_FAILED || madvise(ballast, size + 1, advice) < 0)
                die("ballast", NULL);
        ballast_size = size;
        for (size_t at = 0; at < size; at += 4096)
                ballast[at] = 1;
}

static void take_option(const char *name, const char *value, struct fsrv_server_options *options) {
        unsigned long number = strtoul(value, NULL, 10);
        pthread_t thread;

        if (strcmp(name, "ballast") == 0) {
                take_ballast(number << 20, MADV_NOHUGEPAGE);
        } else if (strcmp(name, "huge") == 0) {
                take_ballast(number << 20, MADV_HUGEPAGE);
        } else if (strcmp(name, "threads") == 0) {
                while (number-- > 0)
                        pthread_create(&thread, NULL, sleep_on, NULL);
        } else if (strcmp(name, "standbys") == 0) {
                options->standbys = (uint32_t)number;
        } else if (strcmp(name, "memory") == 0) {
                options->memory = (uint32_t)number;
        } else if (strcmp(name, "sandbox") == 0) {
                sandbox = make_sandbox(value, 0);
        } else if (strcmp(name, "user") == 0) {
                user = (uid_t)number;
        } else {
                die(name, NULL);
        }
}

int main(int argc, char **argv) {
        const char *preload[] = { argc > 1 ? argv[1] : "", NULL };
        struct fsrv_server_options options = { .size = sizeof options,
                                               .preload = preload,
                                               .preload_policy = FSRV_PRELOAD_FAIL };
        struct rlimit limit;
        struct fsrv_error error;
        char line[4096], name[4000];
        int depth, n;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
        for (int i = 2; i + 1 < argc; i += 2)
                take_option(argv[i], argv[i + 1], &options);
        module = preload[0];
        if (fsrv_server_new(&options, &server, &error) < 0)
                die("server", &error);
        while (fgets(line, sizeof line, stdin)) {
                if (sscanf(line, "idle %d", &n) == 1) {
                        idle(n);
                        puts("0");
                } else if (sscanf(line, "sandboxes %d", &n) == 1) {
                        sandboxes(n);
                        puts("0");
                } else if (strcmp(line, "pids\n") == 0) {
                        tell_pids();
                } else if (sscanf(line, "%3999s %d %d", name, &depth, &n) == 3 && depth > 0 && depth <= DEPTH_MAX) {
                        obey(name, depth, n);
                }
                fflush(stdout);
        }
        fsrv_sandbox_unref(sandbox);
        fsrv_server_free(server);
        return 0;
}
