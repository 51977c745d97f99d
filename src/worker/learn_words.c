/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/syscalls.h"
#include "worker/filter.h"
#include "worker/learn.h"

/* ---- which file a call is about ---- */

enum { NONE = -1 };

/* Where its arguments are: of a directory, a path, and the flags of open(2). */
static const struct file_call {
        char name[12];
        int8_t directory, path, flags;
        uint8_t access; /* FSRV_PATH_…; with flags: by them */
} file_calls[] = {
        { "open", NONE, 0, 1, 0 },
        { "openat", 0, 1, 2, 0 },
        { "creat", NONE, 0, NONE, FSRV_PATH_MAKE },
        { "mkdir", NONE, 0, NONE, FSRV_PATH_MAKE },
        { "mkdirat", 0, 1, NONE, FSRV_PATH_MAKE },
        { "mknod", NONE, 0, NONE, FSRV_PATH_MAKE },
        { "mknodat", 0, 1, NONE, FSRV_PATH_MAKE },
        { "link", NONE, 1, NONE, FSRV_PATH_MAKE },
        { "linkat", 2, 3, NONE, FSRV_PATH_MAKE },
        { "symlink", NONE, 1, NONE, FSRV_PATH_MAKE },
        { "symlinkat", 1, 2, NONE, FSRV_PATH_MAKE },
        { "rename", NONE, 1, NONE, FSRV_PATH_MAKE },
        { "renameat", 2, 3, NONE, FSRV_PATH_MAKE },
        { "renameat2", 2, 3, NONE, FSRV_PATH_MAKE },
        { "rmdir", NONE, 0, NONE, FSRV_PATH_MAKE },
        { "unlink", NONE, 0, NONE, FSRV_PATH_MAKE },
        { "unlinkat", 0, 1, NONE, FSRV_PATH_MAKE },
        { "truncate", NONE, 0, NONE, FSRV_PATH_WRITE },
        { "truncate64", NONE, 0, NONE, FSRV_PATH_WRITE },
        { "execve", NONE, 0, NONE, FSRV_PATH_EXECUTE },
        { "execveat", 0, 1, NONE, FSRV_PATH_EXECUTE },
};

static const struct file_call *find_file_call(const char *name) {
        for (size_t i = 0; name && i < sizeof file_calls / sizeof *file_calls; i++)
                if (strcmp(file_calls[i].name, name) == 0)
                        return &file_calls[i];
        return NULL;
}

static uint32_t access_of(const struct file_call *call, const struct seccomp_data *data) {
        if (call->flags == NONE)
                return call->access;
        uint64_t flags = data->args[call->flags];
        if (flags & O_PATH) /* it opens nothing */
                return 0;
        uint32_t access = (flags & O_ACCMODE) == O_RDONLY ? FSRV_PATH_READ : FSRV_PATH_READ | FSRV_PATH_WRITE;
        return flags & O_CREAT ? access | FSRV_PATH_MAKE : access;
}

/* Up to the first NUL, page by page: what follows may not be there. */
static bool read_string(pid_t pid, uint64_t at, char ret_text[PATH_MAX]) {
        for (size_t n = 0; n < PATH_MAX;) {
                size_t size = 256 - (at + n) % 256;
                struct iovec to = { ret_text + n, size < PATH_MAX - n ? size : PATH_MAX - n };
                struct iovec from = { (void *)(uintptr_t)(at + n), to.iov_len }; // NOLINT(performance-no-int-to-ptr)

                if (process_vm_readv(pid, &to, 1, &from, 1, 0) != (ssize_t)to.iov_len)
                        return false;
                if (memchr(to.iov_base, 0, to.iov_len))
                        return true;
                n += to.iov_len;
        }
        return false;
}

/* The file, or with `makes` the directory that it is to be in, without links and dots. */
static bool find_file(const struct file_call *call, const struct seccomp_data *data, pid_t pid, bool makes,
                      char ret_path[PATH_MAX]) {
        char text[PATH_MAX], whole[2 * PATH_MAX], base[64];
        int directory = call->directory == NONE ? AT_FDCWD : (int)data->args[call->directory];

        if (!read_string(pid, data->args[call->path], text) || !text[0])
                return false;
        if (directory == AT_FDCWD)
                snprintf(base, sizeof base, "/proc/%d/cwd/", (int)pid);
        else
                snprintf(base, sizeof base, "/proc/%d/fd/%d/", (int)pid, directory);
        snprintf(whole, sizeof whole, "%s%s", text[0] == '/' ? "" : base, text);
        if (makes && !realpath(whole, ret_path)) {
                char *slash = strrchr(whole, '/');
                slash[slash == whole] = 0;
        } else if (makes) { /* it is there: its directory is what counts all the same */
                snprintf(whole, sizeof whole, "%s/..", ret_path);
        }
        return realpath(whole, ret_path) != NULL;
}

static bool is_below(const char *path, const char *directory) {
        size_t n = strlen(directory);

        while (n > 0 && directory[n - 1] == '/')
                n--;
        return strncmp(path, directory, n) == 0 && (path[n] == '/' || path[n] == 0);
}

static bool is_allowed(const struct fsrv__sandbox_parts *sandbox, const char *path, uint32_t access) {
        char real[PATH_MAX];

        for (uint32_t i = 0; i < sandbox->head.n_paths; i++)
                if (realpath(sandbox->path_names[i], real) && is_below(path, real))
                        access &= ~sandbox->paths[i].access;
        return access == 0;
}

static bool is_of_a_process(const char *path) {
        return strncmp(path, "/proc/", 6) == 0 && path[6] >= '1' && path[6] <= '9';
}

static void write_path_word(const struct fsrv__sandbox_parts *sandbox, const struct file_call *call,
                            const struct seccomp_data *data, pid_t pid, char ret_word[FSRV_WORD_SIZE]) {
        uint32_t access = access_of(call, data);
        char path[PATH_MAX];
        const char *word = "read";

        if (access == 0 || !find_file(call, data, pid, access & FSRV_PATH_MAKE, path) ||
            is_allowed(sandbox, path, access))
                return;
        if (access & FSRV_PATH_MAKE)
                word = "make";
        else if (access & FSRV_PATH_WRITE)
                word = "write";
        else if (access & FSRV_PATH_EXECUTE)
                word = "exec";
        if (is_of_a_process(path)) { /* the next run's has another number; to write to all of /proc is no advice */
                snprintf(path, sizeof path, "/proc");
                word = "read";
        }
        snprintf(ret_word, FSRV_WORD_SIZE, "%s=%s", word, path);
}

/* All that is allowed of a file has reading in it. */
static bool is_access_said_by(const char *word, const char *said) {
        return strncmp(word, "read=", 5) == 0 || strncmp(word, said, strcspn(word, "=") + 1) == 0 ||
               (strncmp(word, "write=", 6) == 0 && strncmp(said, "make=", 5) == 0);
}

bool fsrv__word_is_said_by(const char *word, const char *said) {
        const char *path = strstr(word, "=/"), *above = strstr(said, "=/");

        if (!path || !above)
                return strcmp(word, said) == 0;
        return is_access_said_by(word, said) && is_below(path + 1, above + 1);
}

/* ---- all calls ---- */

static const char *const groups[] = { "exec",     "network", "sockets",    "others", "kernel",
                                      "metadata", "files",   "namespaces", "fork" };

static void write_group_word(uint32_t group, char ret_word[FSRV_WORD_SIZE]) {
        for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
                if (group & 1u << i) {
                        snprintf(ret_word, FSRV_WORD_SIZE, "allow=%s", groups[i]);
                        return;
                }
}

void fsrv__learn_words(const struct fsrv__sandbox_parts *sandbox, const struct seccomp_data *data, pid_t pid,
                       char ret_words[2][FSRV_WORD_SIZE]) {
        const struct file_call *call = find_file_call(fsrv__syscall_name(data->nr));
        uint32_t group = fsrv__filter_group(data->nr);

        ret_words[0][0] = ret_words[1][0] = 0;
        if (group & fsrv__filter_groups(sandbox))
                write_group_word(group == FSRV_REFUSE_SIGNALS ? FSRV_REFUSE_OTHERS : group, ret_words[0]);
        if (group & FSRV_REFUSE_NETWORK && sandbox->head.refused & FSRV_REFUSE_SOCKETS)
                write_group_word(FSRV_REFUSE_SOCKETS, ret_words[1]);
        if (call && sandbox->head.flags & FSRV_LOCK_FILES)
                write_path_word(sandbox, call, data, pid, ret_words[1]);
}
