/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "server/server.h"

enum {
        FILES_MAX = 4096,
        SETTLE_MS = 300, /* so long no event has to come before a reload: an upgrade replaces more than one file */
        LOOK_MAX_MS = 60000,
        /* A file that loses a name has other attributes. The files are watched, not their directories, in which much
         * may go on. */
        EVENTS = IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVE_SELF | IN_DELETE_SELF,
};

static void forget(struct fsrv__files *files) {
        for (size_t i = 0; i < files->n; i++)
                free(files->list[i].path);
        free(files->list);
        files->list = NULL;
        files->n = 0;
        files->replaced[0] = 0;
        files->look = files->reload = FSRV_NEVER;
}

/* is_deleted: the mapped file has lost its name, so what is there now is another one. (The inode number in the list of
 * mappings is not that of stat(2) on every file system.) */
static void add_file(struct fsrv__files *files, const char *path, bool is_deleted) {
        struct fsrv__file file = { 0 };
        struct stat st;

        if (files->n > 0 && strcmp(files->list[files->n - 1].path, path) == 0)
                return;
        if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || files->n == FILES_MAX || !(file.path = strdup(path)))
                return;
        file.device = st.st_dev;
        file.inode = is_deleted ? 0 : st.st_ino;
        file.mtime = st.st_mtim;
        struct fsrv__file *grown = realloc(files->list, (files->n + 1) * sizeof *grown);
        if (!grown) {
                free(file.path);
                return;
        }
        files->list = grown;
        files->list[files->n++] = file;
        if (!is_deleted)
                inotify_add_watch(files->inotify, path, EVENTS);
}

/* A line of /proc/PID/maps: "start-end perms offset device inode path". A path may have spaces; that of a file which is
 * no longer there ends in " (deleted)". */
static void take_line(struct fsrv__files *files, char *line) {
        static const char deleted[] = " (deleted)";
        int at = 0;

        line[strcspn(line, "\n")] = 0;
        sscanf(line, "%*s %*s %*s %*s %*s %n", &at);
        if (at == 0 || line[at] != '/' || strncmp(line + at, "/memfd:", 7) == 0)
                return;
        size_t n = strlen(line + at), suffix = sizeof deleted - 1;
        bool is_deleted = n > suffix && strcmp(line + at + n - suffix, deleted) == 0;
        if (is_deleted)
                line[at + n - suffix] = 0;
        add_file(files, line + at, is_deleted);
}

static void compare(struct fsrv__server *s);

void fsrv__files_take(struct fsrv__server *s) {
        char path[64], line[4096 + 128];

        if (!s->config.path)
                return;
        forget(&s->files);
        if (s->files.inotify >= 0)
                fsrv__unwatch(s, s->files.inotify);
        fsrv__fd_close(s->files.inotify);
        s->files.inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (s->files.inotify < 0) { /* fs.inotify.max_user_instances */
                fsrv__log(s, FSRV_WARNING, "loaded files that are replaced won't be noticed: inotify: %s",
                          strerrordesc_np(errno));
                return;
        }
        fsrv__watch(s, s->files.inotify, EPOLLIN, FSRV_SOURCE_FILES, 0);
        snprintf(path, sizeof path, "/proc/%d/maps", (int)s->zygotes->pid);
        FILE *maps = fopen(path, "re");
        if (!maps)
                return;
        while (fgets(line, sizeof line, maps))
                take_line(&s->files, line);
        fclose(maps);
        compare(s);
}

/* One that isn't there at the moment is being replaced, or never will be: what is loaded goes on to work. */
static bool is_replaced(const struct fsrv__file *file, bool *ret_is_missing) {
        struct stat st;

        if (stat(file->path, &st) < 0) {
                *ret_is_missing = true;
                return false;
        }
        return (st.st_ino != file->inode || st.st_dev != file->device || st.st_mtim.tv_sec != file->mtime.tv_sec ||
                st.st_mtim.tv_nsec != file->mtime.tv_nsec);
}

static void tell(struct fsrv__server *s, const char *path) {
        if (strcmp(s->files.replaced, path) == 0)
                return;
        snprintf(s->files.replaced, sizeof s->files.replaced, "%s", path);
        bool by_itself = s->config.head.options & FSRV_WIRE_AUTO_RELOAD;
        fsrv__log(s, FSRV_WARNING, "'%s' has been replaced on disk since it was loaded%s", path,
                  by_itself ? "" : "; a reload loads the new one (forkserver reload, SIGHUP)");
}

/* The first one that has been replaced; NULL. What is at its path now is watched as well: it may be half written, and
 * a reload of it fails. */
static const char *find_replaced(const struct fsrv__files *files, bool *ret_is_missing) {
        const char *found = NULL;

        for (size_t i = 0; i < files->n; i++)
                if (is_replaced(&files->list[i], ret_is_missing)) {
                        inotify_add_watch(files->inotify, files->list[i].path, EVENTS | IN_MODIFY);
                        found = found ? found : files->list[i].path;
                }
        return found;
}

/* Nothing tells when a missing file is there again, so we look, less and less often. */
static void compare(struct fsrv__server *s) {
        struct fsrv__files *files = &s->files;
        bool is_missing = false;
        const char *replaced = find_replaced(files, &is_missing);

        files->look = FSRV_NEVER;
        if (!replaced)
                files->replaced[0] = 0;
        else
                tell(s, replaced);
        if (replaced && s->config.head.options & FSRV_WIRE_AUTO_RELOAD)
                files->reload = fsrv__now() + SETTLE_MS;
        if (!is_missing)
                return;
        files->wait_ms = files->wait_ms * 2 < LOOK_MAX_MS ? files->wait_ms * 2 : LOOK_MAX_MS;
        files->look = fsrv__now() + files->wait_ms;
}

void fsrv__files_on_change(struct fsrv__server *s) {
        char events[4096];

        while (read(s->files.inotify, events, sizeof events) > 0)
                ;
        if (s->draining)
                return;
        s->files.wait_ms = SETTLE_MS / 2;
        compare(s);
}

void fsrv__files_on_time(struct fsrv__server *s, int64_t now) {
        if (s->files.look <= now)
                compare(s);
        if (s->files.reload > now)
                return;
        s->files.reload = FSRV_NEVER;
        s->wants_reload = true;
}
