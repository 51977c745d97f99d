/* SPDX-License-Identifier: MIT */
/* Set-user-ID files, where files may be made: such a program outlives the sandbox. chmod(2) isn't needed for it. */
#define _GNU_SOURCE
#include "escapes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *new_path(void) {
        return path_in("ESCAPE_WRITABLE", "set-id");
}

/* Whether what was made has one of the bits; it is removed. */
static int has_set_id(const char *path, long result) {
        struct stat made = { 0 };
        int error = errno;

        if (result >= 0 && lstat(path, &made) < 0)
                error = errno;
        if (result >= 0 && S_ISDIR(made.st_mode))
                rmdir(path);
        else if (result >= 0)
                unlink(path);
        if (result < 0)
                return -error;
        return made.st_mode & (S_ISUID | S_ISGID) ? 0 : -EPERM;
}

static int opened(const char *path, long fd) {
        int r = has_set_id(path, fd);

        if (fd >= 0)
                close((int)fd);
        return r;
}

#define NEEDS(path) \
        if (!(path)) \
        return not_here("the test has not named it")

static int set_id_by_open(void) {
        const char *path = new_path();

        NEEDS(path);
        return opened(path, open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 06755));
}

static int set_id_by_openat2(void) {
        const char *path = new_path();
        struct open_how how = { .flags = O_WRONLY | O_CREAT | O_CLOEXEC, .mode = 06755 };

        NEEDS(path);
        return opened(path, syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how));
}

static int set_id_by_creat(void) {
        const char *path = new_path();

        NEEDS(path);
        return opened(path, creat(path, 06755));
}

/* The mode's upper bits are garbage, which the kernel doesn't look at. */
static int set_id_by_high_bits(void) {
        const char *path = new_path();

        NEEDS(path);
        return opened(path, syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT, 06755 | 1L << 40));
}

static int set_id_by_nameless_file(void) {
        const char *path = new_path(), *directory = setting("ESCAPE_WRITABLE");
        int fd, r;

        NEEDS(path);
        fd = open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 06755);
        if (fd < 0)
                return -errno;
        r = has_set_id(path, linkat(fd, "", AT_FDCWD, path, AT_EMPTY_PATH));
        close(fd);
        return r;
}

static int set_id_by_mknod(void) {
        const char *path = new_path();

        NEEDS(path);
        return has_set_id(path, mknod(path, S_IFREG | 06755, 0));
}

static int set_id_by_mkdir(void) {
        const char *path = new_path();

        NEEDS(path);
        return has_set_id(path, mkdir(path, 02755));
}

static int set_id_by_fchmod(void) {
        const char *path = new_path();
        int fd, r;

        NEEDS(path);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
        if (fd < 0)
                return -errno;
        r = has_set_id(path, fchmod(fd, 06755));
        close(fd);
        return r;
}

const struct attempt set_id_attempts[] = {
        { "set_id_by_open", set_id_by_open },
        { "set_id_by_openat2", set_id_by_openat2 },
        { "set_id_by_creat", set_id_by_creat },
        { "set_id_by_high_bits", set_id_by_high_bits },
        { "set_id_by_nameless_file", set_id_by_nameless_file },
        { "set_id_by_mknod", set_id_by_mknod },
        { "set_id_by_mkdir", set_id_by_mkdir },
        { "set_id_by_fchmod", set_id_by_fchmod },
        { NULL, NULL },
};
