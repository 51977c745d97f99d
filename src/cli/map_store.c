/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
        FIRST_SIZE = 4096,
        SIZE_MAX_OF_ONE = 1024 * 1024,
        SIZE_MAX_OF_ALL = 32 * 1024 * 1024,
};

static size_t size_of_all;

/* ---- the file ---- */

static int make_file_in(const char *directory) {
        char path[4096];
        int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) /* not every file system has O_TMPFILE */
                return fd < 0 ? -errno : fd;
        if (snprintf(path, sizeof path, "%s/forkserver-XXXXXX", directory) >= (int)sizeof path)
                return -ENAMETOOLONG;
        fd = mkostemp(path, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        unlink(path);
        return fd;
}

/* A disk may have no place for it, or be read-only: then it's memory after all. */
static int make_file(void) {
        const char *directory = getenv("TMPDIR");
        const char *const directories[] = { directory && directory[0] ? directory : "/tmp", "/tmp", "/var/tmp" };

        for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
                int fd = make_file_in(directories[i]);
                if (fd >= 0 || fd == -EMFILE || fd == -ENFILE)
                        return fd;
        }
        int fd = memfd_create("output", MFD_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int add_to_file(struct map_store *store, const char *bytes, size_t n) {
        off_t at = store->file_size;

        if (!store->has_file) {
                int fd = make_file();
                if (fd < 0)
                        return fd;
                store->file = fd;
                store->has_file = true;
        }
        while (n > 0) {
                ssize_t k = pwrite(store->file, bytes, n, at);
                if (k < 0 && errno != EINTR)
                        return -errno;
                if (k > 0) {
                        bytes += k;
                        n -= (size_t)k;
                        at += k;
                }
        }
        store->file_size = at;
        return 0;
}

/* ---- memory ---- */

/* A limit of the size of files (ulimit -f) is one of ours, too, and a memfd is no way around it; that of a pipe would
 * not count. So then it is all memory. */
static bool has_files(void) {
        struct rlimit limit;

        return getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY;
}

/* False: there is no room in memory. */
static bool make_room(struct map_store *store, size_t n) {
        size_t size = store->size ? store->size : FIRST_SIZE;

        while (size < store->n + n)
                size *= 2;
        if (size == store->size)
                return true;
        if ((size > SIZE_MAX_OF_ONE || size_of_all - store->size + size > SIZE_MAX_OF_ALL) && has_files())
                return false;
        char *bytes = realloc(store->bytes, size);
        if (!bytes)
                return false;
        size_of_all += size - store->size;
        store->bytes = bytes;
        store->size = size;
        return true;
}

int map_store_add(struct map_store *store, const char *bytes, size_t n) {
        if (n == 0)
                return 0;
        if (store->has_file || !make_room(store, n))
                return add_to_file(store, bytes, n);
        memcpy(store->bytes + store->n, bytes, n);
        store->n += n;
        return 0;
}

uint64_t map_store_size(const struct map_store *store) {
        return store->n + (uint64_t)store->file_size;
}

int map_store_each(const struct map_store *store, map_store_take take, void *data) {
        static char bytes[65536]; /* the stack may be small */
        off_t at = 0;
        ssize_t n;
        int r = store->n ? take(data, store->bytes, store->n) : 0;

        while (r >= 0 && at < store->file_size) {
                n = pread(store->file, bytes, sizeof bytes, at);
                if (n <= 0)
                        return n < 0 ? -errno : -EIO; /* another process cut it off */
                r = take(data, bytes, (size_t)n);
                at += n;
        }
        return r < 0 ? r : 0;
}

void map_store_clear(struct map_store *store) {
        if (store->has_file)
                close(store->file);
        free(store->bytes);
        size_of_all -= store->size;
        *store = (struct map_store){ 0 };
}
