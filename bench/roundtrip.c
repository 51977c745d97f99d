/* SPDX-License-Identifier: MIT */
/*
 * roundtrip MODULE [N [JSON]]: spawn, exit and status of a no-op entry point, against a bare loop of fork, _exit and
 * waitpid in this equally small process. By turns, in blocks, one at a time and back to back, so that standbys cannot hide
 * the cost of the forks; medians of the blocks' means.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "forkserver.h"

enum { BLOCKS = 20 };

#define BAR 2.0

static double now(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static double seconds(const struct rusage *usage) {
        return (double)usage->ru_utime.tv_sec + (double)usage->ru_stime.tv_sec +
               (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

static double own_cpu(int who) {
        struct rusage usage;

        getrusage(who, &usage);
        return seconds(&usage);
}

/* utime + stime of another process, in seconds: exact enough over thousands of spawns. */
static double cpu_of(pid_t pid) {
        char path[64], text[1024];
        unsigned long user = 0, system = 0;

        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        FILE *file = fopen(path, "re");
        if (!file)
                return 0;
        size_t n = fread(text, 1, sizeof text - 1, file);
        fclose(file);
        text[n] = 0;
        const char *after = strrchr(text, ')');
        if (after)
                sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
        return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void die(const struct fsrv_error *error) {
        fprintf(stderr, "roundtrip: %s: %s\n", fsrv_stage_name(error->stage), error->text);
        exit(1);
}

static double block_of_spawns(struct fsrv_server *server, const struct fsrv_request *request, int n, double *workers_cpu) {
        double start = now();

        for (int i = 0; i < n; i++) {
                struct fsrv_error error;
                struct fsrv_status status = { .size = sizeof status };
                struct fsrv_process *process;

                if (fsrv_spawn(server, request, &process, &error) < 0 ||
                    fsrv_process_wait(process, 10000, &status, &error) < 0)
                        die(&error);
                if (status.exit_code != 7)
                        exit(1);
                *workers_cpu += seconds(&status.rusage);
                fsrv_process_unref(process);
        }
        return (now() - start) / n;
}

static double block_of_forks(int n) {
        double start = now();

        for (int i = 0; i < n; i++) {
                int status;
                pid_t pid = fork();
                if (pid == 0)
                        _exit(7);
                if (pid < 0 || waitpid(pid, &status, 0) != pid)
                        exit(1);
        }
        return (now() - start) / n;
}

static int ascending(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return x < y ? -1 : x > y;
}

static double median(double *values) {
        qsort(values, BLOCKS, sizeof *values, ascending);
        return (values[BLOCKS / 2 - 1] + values[BLOCKS / 2]) / 2;
}

static int write_json(const char *path, double ours, double peer, int n, double cpu, double peer_cpu) {
        char date[32], cpu_model[128] = "", line[256];
        struct utsname system;
        time_t now_is = time(NULL);
        FILE *json = fopen(path, "we"), *info = fopen("/proc/cpuinfo", "re");

        if (!json)
                return -1;
        while (info && !cpu_model[0] && fgets(line, sizeof line, info))
                sscanf(line, "model name : %127[^\n]", cpu_model);
        if (info)
                fclose(info);
        uname(&system);
        strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now_is));
        fprintf(json, "{\"machine\": \"%ld CPUs %s, Linux %s\", \"date\": \"%s\", \"cases\": [\n", sysconf(_SC_NPROCESSORS_ONLN),
                cpu_model, system.release, date);
        fprintf(json, "{\"name\": \"roundtrip\", \"what\": \"no-op entry point, spawn, STARTED with pidfd, status\", "
                      "\"ours\": %.1f, \"peer\": %.1f, \"peer_name\": \"fork+_exit+waitpid in an equally small process\", "
                      "\"unit\": \"us\", \"ratio\": %.3f, \"bar\": %.2f, \"met\": %s, "
                      "\"note\": \"%d spawns back to back, one at a time; CPU time a spawn over all processes %.0f us, peer %.0f us\"}\n]}\n",
                ours, peer, ours / peer, BAR, ours / peer <= BAR ? "true" : "false", n, cpu, peer_cpu);
        return fclose(json);
}

int main(int argc, char **argv) {
        int n = argc > 2 ? atoi(argv[2]) : 5000;
        const char *preload[] = { argc > 1 ? argv[1] : "", NULL };
        struct fsrv_server_options options = {
                .size = sizeof options, .preload = preload, .preload_policy = FSRV_PRELOAD_FAIL
        };
        struct fsrv_stats stats = { .size = sizeof stats };
        double ours[BLOCKS], peer[BLOCKS], workers = 0, ours_own = 0, peer_cpu = 0;
        struct fsrv_server *server;
        struct fsrv_request *request;
        struct fsrv_error error;
        char entry[4096];

        if (argc < 2 || n < BLOCKS)
                return fprintf(stderr, "usage: roundtrip MODULE [N [JSON]]\n"), 2;
        snprintf(entry, sizeof entry, "%s:noop", argv[1]);
        if (fsrv_server_new(&options, &server, &error) < 0)
                die(&error);
        if (fsrv_request_new(&request) < 0 || fsrv_request_set_entry(request, entry) < 0)
                return 1;
        block_of_spawns(server, request, 100, &workers);
        block_of_forks(100);
        if (fsrv_server_get_stats(server, &stats, &error) < 0)
                die(&error);
        workers = 0;
        double before = cpu_of(stats.server_pid) + cpu_of(stats.zygote_pid);
        for (int i = 0; i < BLOCKS; i++) {
                double start = own_cpu(RUSAGE_SELF);
                ours[i] = block_of_spawns(server, request, n / BLOCKS, &workers);
                ours_own += own_cpu(RUSAGE_SELF) - start;
                start = own_cpu(RUSAGE_SELF) + own_cpu(RUSAGE_CHILDREN);
                peer[i] = block_of_forks(n / BLOCKS);
                peer_cpu += own_cpu(RUSAGE_SELF) + own_cpu(RUSAGE_CHILDREN) - start;
        }
        double servers = cpu_of(stats.server_pid) + cpu_of(stats.zygote_pid) - before;
        double a = median(ours), b = median(peer);
        printf("roundtrip: %.2f x (ours %.1f us, fork+_exit+waitpid %.1f us; medians of %d blocks, %d spawns each; "
               "ours %.1f to %.1f)\n",
               a / b, a, b, BLOCKS, n, ours[0], ours[BLOCKS - 1]);
        printf("cpu: ours %.1f us a spawn over all processes (client %.1f, server and zygote %.1f, workers %.1f), peer %.1f us\n",
               (ours_own + servers + workers) / n * 1e6, ours_own / n * 1e6, servers / n * 1e6, workers / n * 1e6,
               peer_cpu / n * 1e6);
        if (argc > 3 && write_json(argv[3], a, b, n, (ours_own + servers + workers) / n * 1e6, peer_cpu / n * 1e6) < 0) {
                perror(argv[3]);
                return 1;
        }
        fsrv_request_free(request);
        fsrv_server_free(server);
        return 0;
}
