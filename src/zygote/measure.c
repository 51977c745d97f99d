/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/measure.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "wire/loaded.h"
#include "zygote/fork.h"
#include "zygote/hook.h"
#include "zygote/patience.h"

#define OWN_FDS "/proc/self/fd"

struct numbers {
        int *list;
        size_t n;
};

struct memory {
        uint64_t private_dirty_kib;
        uint64_t fork_pages;
};

/* From fsrv__measure_begin() to fsrv__measure_end(). */
static struct {
        int64_t time_us;
        bool with_memory;
        struct memory memory;
        struct numbers threads, fds;
} before;

/* Which module left which thread running. The kernel gives a thread's id to no other one while it runs. */
struct owner {
        int tid;
        const char *module;
};
static struct owner *owners;
static size_t n_owners;

/* ---- looking ---- */

static int64_t now_us(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The numbers that are names in a directory of /proc. In that of fds, the fd that lists them is left out. */
static struct numbers read_numbers(const char *path) {
        struct numbers numbers = { 0 };
        DIR *directory = opendir(path);
        int own = directory && strcmp(path, OWN_FDS) == 0 ? dirfd(directory) : -1;
        struct dirent *entry;

        while (directory && (entry = readdir(directory))) {
                if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || atoi(entry->d_name) == own)
                        continue;
                int *grown = realloc(numbers.list, (numbers.n + 1) * sizeof *grown);
                if (!grown)
                        break;
                numbers.list = grown;
                numbers.list[numbers.n++] = atoi(entry->d_name);
        }
        if (directory)
                closedir(directory);
        return numbers;
}

static bool contains(const struct numbers *numbers, int number) {
        for (size_t i = 0; i < numbers->n; i++)
                if (numbers->list[i] == number)
                        return true;
        return false;
}

static void free_numbers(struct numbers *numbers) {
        free(numbers->list);
        *numbers = (struct numbers){ 0 };
}

/* Of a mapping that has anonymous pages, fork(2) copies all entries of the page tables that are present. Those of other
 * mappings it leaves out: their pages can be had from the file again. */
static struct memory read_memory(void) {
        struct memory memory = { 0 };
        uint64_t page_kib = (uint64_t)sysconf(_SC_PAGESIZE) / 1024, kib, present = 0;
        FILE *file = fopen("/proc/self/smaps", "re");
        char line[512];

        while (file && fgets(line, sizeof line, file))
                if (sscanf(line, "Rss: %" SCNu64, &kib) == 1)
                        present = kib;
                else if (sscanf(line, "Private_Dirty: %" SCNu64, &kib) == 1)
                        memory.private_dirty_kib += kib;
                else if (sscanf(line, "Anonymous: %" SCNu64, &kib) == 1 && kib > 0)
                        memory.fork_pages += present / page_kib;
        if (file)
                fclose(file);
        return memory;
}

static void read_name(int tid, char ret_name[32]) {
        char path[64];
        ssize_t n = -1;

        snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
        FSRV_CLEANUP_FD int fd = fsrv__open(path, O_RDONLY);
        if (fd >= 0)
                n = read(fd, ret_name, 31);
        ret_name[n < 0 ? 0 : n] = 0;
        ret_name[strcspn(ret_name, "\n")] = 0;
}

static const char *kind_of(int fd, const char *what) {
        static const struct {
                const char *begin, *kind;
        } kinds[] = {
                { "socket:", "socket" },
                { "pipe:", "pipe" },
                { "anon_inode:[eventpoll]", "epoll" },
                { "anon_inode:[eventfd]", "eventfd" },
                { "anon_inode:[io_uring]", "io_uring" },
                { "anon_inode:", "other" },
                { "/dev/null", "file" },
                { "/dev/zero", "file" },
                { "/dev/urandom", "file" },
                { "/dev/random", "file" },
        };
        struct stat st;

        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
                if (strncmp(what, kinds[i].begin, strlen(kinds[i].begin)) == 0)
                        return kinds[i].kind;
        return fstat(fd, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) ? "device" : "file";
}

/* ---- before and after ---- */

void fsrv__measure_begin(bool memory) {
        before.threads = read_numbers("/proc/self/task");
        before.fds = read_numbers(OWN_FDS);
        before.with_memory = memory;
        if (memory)
                before.memory = read_memory();
        before.time_us = now_us();
}

static void remember_owner(int tid, const char *module) {
        void *grown = realloc(owners, (n_owners + 1) * sizeof *owners);

        if (!grown)
                return;
        owners = grown;
        owners[n_owners].tid = tid;
        owners[n_owners++].module = module; /* of the configuration, which stays */
}

static void add_threads(const char *module, char bytes[FSRV_WIRE_MESSAGE_MAX], size_t *size) {
        struct numbers threads = read_numbers("/proc/self/task");

        for (size_t i = 0; i < threads.n; i++) {
                char name[32];
                if (contains(&before.threads, threads.list[i]))
                        continue;
                read_name(threads.list[i], name);
                remember_owner(threads.list[i], module);
                fsrv__loaded_add_thread(bytes, size, name);
        }
        free_numbers(&threads);
        free_numbers(&before.threads);
}

static void add_fds(char bytes[FSRV_WIRE_MESSAGE_MAX], size_t *size) {
        struct numbers fds = read_numbers(OWN_FDS);

        for (size_t i = 0; i < fds.n; i++) {
                char path[64], what[PATH_MAX];
                if (contains(&before.fds, fds.list[i]))
                        continue;
                snprintf(path, sizeof path, "/proc/self/fd/%d", fds.list[i]);
                ssize_t n = readlink(path, what, sizeof what - 1);
                if (n < 0)
                        continue;
                what[n] = 0;
                fsrv__loaded_add_fd(bytes, size, fds.list[i], kind_of(fds.list[i], what), what);
        }
        free_numbers(&fds);
        free_numbers(&before.fds);
}

static uint64_t growth_of(uint64_t from, uint64_t to) {
        return to > from ? to - from : 0;
}

size_t fsrv__measure_end(const char *module, int err, const char *failure, char ret_bytes[FSRV_WIRE_MESSAGE_MAX]) {
        struct fsrv__wire_loaded *head = (void *)ret_bytes;
        int64_t time_us = now_us() - before.time_us;
        size_t size;

        fsrv__loaded_begin(ret_bytes, &size, err, failure);
        head->load_us = (uint64_t)time_us;
        if (before.with_memory) {
                struct memory after = read_memory();
                head->private_dirty_kib = growth_of(before.memory.private_dirty_kib, after.private_dirty_kib);
                head->fork_pages = growth_of(before.memory.fork_pages, after.fork_pages);
        }
        add_threads(module, ret_bytes, &size);
        add_fds(ret_bytes, &size);
        return size;
}

/* ---- threads at the time of a fork ---- */

bool fsrv__measure_has_threads(void) {
        struct stat st;

        return stat("/proc/self/task", &st) == 0 &&
               st.st_nlink > 3; /* a directory's links: itself twice, each entry once */
}

static const char *owner_of(int tid) {
        for (size_t i = n_owners; i-- > 0;)
                if (owners[i].tid == tid)
                        return owners[i].module;
        return NULL;
}

void fsrv__measure_describe_threads(char *ret_text, size_t size) {
        struct numbers threads = read_numbers("/proc/self/task");
        char names[100] = "";
        const char *culprit = NULL;
        size_t others = 0;

        for (size_t i = 0; i < threads.n; i++) {
                char name[32];
                if (threads.list[i] == getpid())
                        continue;
                read_name(threads.list[i], name);
                size_t n = strlen(names);
                snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", name);
                if (!culprit)
                        culprit = owner_of(threads.list[i]);
                others++;
        }
        free_numbers(&threads);
        char owner[130] = "what ran before the modules";
        if (culprit)
                snprintf(owner, sizeof owner, "module '%.90s'", culprit);
        snprintf(ret_text, size, "%s left %zu thread%s running (%s): a child that is forked beside threads may hang",
                 owner, others, others == 1 ? "" : "s", names);
}

void fsrv__measure_fork_once(const struct fsrv_host *host) {
        fsrv__hook_run(host->before_fork);
        pid_t pid = fsrv__fork_helper();
        int status;
        if (pid == 0)
                _exit(0);
        fsrv__hook_run(host->after_fork_zygote);
        if (pid > 0)
                fsrv__fork_await(pid, fsrv__patience_left(), &status);
}
