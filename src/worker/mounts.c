/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/call.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/syscall_numbers.h"

/*
 * All is done by fds (Linux 5.2; mount_setattr(2) 5.12), so that no path is followed twice: what lies at a target may
 * be a symbolic link out of a tree that was bound. Sources are taken first, from the tree as it was.
 */

/* linux/mount.h and linux/openat2.h, which don't go together with the C library's headers everywhere */
enum {
        OPEN_TREE_CLONE_ = 1,
        MOVE_FROM_FD = 0x4,
        MOVE_TO_FD = 0x40,
        RECURSIVE = 0x8000,
        FSOPEN_CLOEXEC_ = 1,
        FSMOUNT_CLOEXEC_ = 1,
        SET_STRING = 1,
        CREATE = 6,
        ATTR_RDONLY = 1,
        ATTR_NOSUID = 2,
        ATTR_NODEV = 4,
        ATTR_NOEXEC = 8,
        IN_ROOT = 0x10,
        NO_MAGICLINKS = 0x02,
};

struct how {
        uint64_t flags, mode, resolve;
};

struct attributes {
        uint64_t set, clear, propagation, user;
};

static int clone_tree(int directory, const char *path) {
        return (int)fsrv__call(SYS_open_tree, directory, path,
                               OPEN_TREE_CLONE_ | O_CLOEXEC | RECURSIVE | (path[0] ? 0 : AT_EMPTY_PATH));
}

static int set_attributes(int mount, uint64_t attributes, int recursive) {
        struct attributes wanted = { .set = attributes };

        return (int)fsrv__call(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | recursive, &wanted, sizeof wanted);
}

static int attach(int mount, int target) {
        return (int)fsrv__call(SYS_move_mount, mount, "", target, "", MOVE_FROM_FD | MOVE_TO_FD);
}

/* A new file system that is not mounted yet. */
static int make_file_system(const char *type, const char *size, const char *mode, uint64_t attributes) {
        FSRV_CLEANUP_FD int context = (int)fsrv__call(SYS_fsopen, type, FSOPEN_CLOEXEC_);
        long r = context;

        if (r >= 0 && size)
                r = fsrv__call(SYS_fsconfig, context, SET_STRING, "size", size, 0);
        if (r >= 0 && mode)
                r = fsrv__call(SYS_fsconfig, context, SET_STRING, "mode", mode, 0);
        if (r >= 0)
                r = fsrv__call(SYS_fsconfig, context, CREATE, NULL, NULL, 0);
        if (r >= 0)
                r = fsrv__call(SYS_fsmount, context, FSMOUNT_CLOEXEC_, attributes);
        return (int)r;
}

/* ---- where it goes ---- */

/* Where paths begin, and where what is missing on the way may be made: not in a tree that others see, with our rights
 * and through their links. */
struct place {
        int root;
        bool is_new; /* anywhere */
        size_t n_own;
        dev_t own[FSRV_SANDBOX_MOUNTS_MAX]; /* file systems that were made here */
};

static bool may_make_in(const struct place *place, int directory) {
        struct stat st;

        if (place->is_new)
                return true;
        if (fstat(directory, &st) < 0)
                return false;
        for (size_t i = 0; i < place->n_own; i++)
                if (place->own[i] == st.st_dev)
                        return true;
        return false;
}

/* Links are followed as if `root` were the root. */
static int open_in(int root, const char *path, uint64_t flags) {
        struct how how = { .flags = flags | O_CLOEXEC, .resolve = IN_ROOT | NO_MAGICLINKS };

        return (int)fsrv__call(SYS_openat2, root, path, &how, sizeof how);
}

/* Makes the last part of the path: a directory, or an empty file. */
static int make_in(const struct place *place, char *path, bool is_directory) {
        char *name = strrchr(path, '/');

        *name = 0;
        FSRV_CLEANUP_FD int parent = open_in(place->root, path[0] ? path : "/", O_PATH | O_DIRECTORY);
        *name++ = '/';
        if (parent < 0)
                return parent;
        if (!may_make_in(place, parent))
                return -ENOENT;
        if (is_directory)
                return mkdirat(parent, name, 0755) < 0 ? -errno : 0;
        FSRV_CLEANUP_FD int fd = openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
        return fd < 0 ? -errno : 0;
}

/* Opens the target, and makes what is missing on the way. */
static int open_target(const struct place *place, const char *target, bool is_directory) {
        char path[PATH_MAX];
        size_t n = strlen(target);

        while (n > 1 && target[n - 1] == '/')
                n--;
        if (n >= sizeof path)
                return -ENAMETOOLONG;
        memcpy(path, target, n);
        path[n] = 0;
        for (char *end = path; end;) {
                end = strchr(end + 1, '/');
                if (end)
                        *end = 0;
                int fd = open_in(place->root, path, O_PATH);
                if (fd == -ENOENT) {
                        int r = make_in(place, path, end || is_directory);
                        if (r < 0)
                                return r;
                        fd = open_in(place->root, path, O_PATH);
                }
                if (fd < 0 || !end)
                        return fd;
                fsrv__fd_close(fd);
                *end = '/';
        }
        return -ENOENT;
}

/* ---- one mount ---- */

static bool is_directory(int fd) {
        struct stat st;

        return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* What is to be mounted: the tree that was taken, or a new file system. */
static int make_mount(uint32_t kind, int *source) {
        int mount, r = 0;

        if (kind == FSRV_MOUNT_TMPFS)
                return make_file_system("tmpfs", "1g", "1777", ATTR_NOSUID | ATTR_NODEV);
        if (kind == FSRV_MOUNT_PROC) {
                mount = make_file_system("proc", NULL, NULL, ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC);
                if (mount >= 0 || *source < 0)
                        return mount;
        }
        mount = fsrv__fd_steal(source); /* without privileges /proc is the one that there is */
        r = set_attributes(mount, ATTR_NOSUID | (kind == FSRV_MOUNT_BIND_READ_ONLY ? ATTR_RDONLY : 0), RECURSIVE);
        if (r < 0)
                fsrv__fd_close(mount);
        return r < 0 ? r : mount;
}

/* Only a mount has attributes; another directory is mounted at its own place first. */
static int protect_target(int root, const char *target) {
        FSRV_CLEANUP_FD int at = open_in(root, target, O_PATH);

        if (at < 0)
                return at;
        int r = set_attributes(at, ATTR_RDONLY, RECURSIVE);
        if (r != -EINVAL)
                return r;
        FSRV_CLEANUP_FD int tree = clone_tree(at, "");
        r = tree < 0 ? tree : set_attributes(tree, ATTR_RDONLY, RECURSIVE);
        return r < 0 ? r : attach(tree, at);
}

static bool is_root(const char *target) {
        return target[strspn(target, "/")] == 0;
}

static void take_for_own(struct place *place, int mount) {
        struct stat st;

        if (fstat(mount, &st) == 0)
                place->own[place->n_own++] = st.st_dev;
}

/* What is mounted at the root is where paths begin from then on. */
static int mount_one(uint32_t kind, int *source, const char *target, struct place *place) {
        if (kind == FSRV_MOUNT_READ_ONLY)
                return protect_target(place->root, target);
        FSRV_CLEANUP_FD int mount = make_mount(kind, source);
        if (mount < 0)
                return mount;
        if (kind == FSRV_MOUNT_TMPFS)
                take_for_own(place, mount);
        FSRV_CLEANUP_FD int at = open_target(place, target, is_directory(mount));
        int r = at < 0 ? at : attach(mount, at);
        if (r == 0 && is_root(target)) {
                fsrv__fd_close(place->root);
                place->root = fsrv__fd_steal(&mount);
        }
        return r;
}

/* ---- all of them ---- */

static int fail_mount(const struct fsrv__sandbox_parts *sandbox, uint32_t i, int r, struct fsrv_error *error) {
        const char *source = sandbox->mount_names[2 * i], *target = sandbox->mount_names[2 * i + 1];

        if (source[0])
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, -r, "mounting '%s' at '%s'", source, target);
        return fsrv__fail(error, FSRV_STAGE_SANDBOX, -r, "mounting at '%s'", target);
}

static int take_sources(const struct fsrv__sandbox_parts *sandbox, int *sources, struct fsrv_error *error) {
        for (uint32_t i = 0; i < sandbox->head.n_mounts; i++) {
                uint32_t kind = sandbox->mounts[i].kind;

                if (kind == FSRV_MOUNT_PROC)
                        sources[i] = clone_tree(AT_FDCWD, "/proc");
                if (kind != FSRV_MOUNT_BIND && kind != FSRV_MOUNT_BIND_READ_ONLY)
                        continue;
                sources[i] = clone_tree(AT_FDCWD, sandbox->mount_names[2 * i]);
                if (sources[i] < 0)
                        return fail_mount(sandbox, i, sources[i], error);
        }
        return 0;
}

/* An empty root, mounted over the old one so that pivot_root(2) accepts it. */
static int make_root(struct fsrv_error *error) {
        FSRV_CLEANUP_FD int old = fsrv__open("/", O_PATH | O_DIRECTORY);
        FSRV_CLEANUP_FD int root = make_file_system("tmpfs", "1m", "0755", ATTR_NOSUID | ATTR_NODEV);
        int r = old < 0 ? old : root;

        if (r >= 0)
                r = attach(root, old);
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_SANDBOX, -r, "a new root") : fsrv__fd_steal(&root);
}

/* The old root lies over the new one then, until it is detached. */
static int enter_root(int root, struct fsrv_error *error) {
        if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, errno, "entering the new root");
        return 0;
}

/* The directory by its name, which may lie below a mount now. */
static void enter_again(const char *directory) {
        if (!directory || chdir(directory) < 0)
                (void)!chdir("/");
}

static int mount_all(const struct fsrv__sandbox_parts *sandbox, int *sources, struct place *place,
                     struct fsrv_error *error) {
        for (uint32_t i = 0; i < sandbox->head.n_mounts; i++) {
                int r = mount_one(sandbox->mounts[i].kind, &sources[i], sandbox->mount_names[2 * i + 1], place);

                if (r < 0)
                        return fail_mount(sandbox, i, r, error);
        }
        return 0;
}

/* Whether one of the mounts is the root. */
static bool has_own_root(const struct fsrv__sandbox_parts *sandbox) {
        for (uint32_t i = 0; i < sandbox->head.n_mounts; i++)
                if (is_root(sandbox->mount_names[2 * i + 1]))
                        return true;
        return false;
}

/* Something that is mounted on "/" would not be seen from there: it is a new root, as with bwrap(1). */
static bool has_new_root(const struct fsrv__sandbox_parts *sandbox) {
        for (uint32_t i = 0; i < sandbox->head.n_mounts; i++)
                if (is_root(sandbox->mount_names[2 * i + 1]) && sandbox->mounts[i].kind != FSRV_MOUNT_READ_ONLY)
                        return true;
        return sandbox->head.flags & FSRV_LOCK_NO_ROOT;
}

static int make_all(const struct fsrv__sandbox_parts *sandbox, int *sources, struct fsrv_error *error) {
        bool has_root = has_new_root(sandbox);
        char here[PATH_MAX], *directory = getcwd(here, sizeof here);

        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, errno, "making mounts private");
        int r = take_sources(sandbox, sources, error);
        if (r < 0)
                return r;
        struct place place = { .root = has_root ? make_root(error) : fsrv__open("/", O_PATH | O_DIRECTORY),
                               .is_new = has_root };
        if (place.root < 0)
                return place.root;
        r = mount_all(sandbox, sources, &place, error);
        if (r == 0 && has_root && !has_own_root(sandbox)) /* nobody needs to write there any more */
                set_attributes(place.root, ATTR_RDONLY, 0);
        if (r == 0 && has_root)
                r = enter_root(place.root, error);
        if (r == 0)
                enter_again(directory);
        fsrv__fd_close(place.root);
        return r;
}

int fsrv__mounts_make(const struct fsrv__sandbox_parts *sandbox, struct fsrv_error *error) {
        uint32_t n = sandbox->head.n_mounts;

        if (n == 0 && !(sandbox->head.flags & FSRV_LOCK_NO_ROOT))
                return 0;
        int *sources = malloc((n + 1) * sizeof *sources);
        if (!sources)
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, ENOMEM, "%u mounts", n);
        for (uint32_t i = 0; i < n; i++)
                sources[i] = -1;
        int r = make_all(sandbox, sources, error);
        fsrv__fds_close(sources, n);
        free(sources);
        return r;
}
