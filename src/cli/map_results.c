/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_results.h"
#include "map_write.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int map_results_open(struct map_results *results, const char *path) {
        *results = (struct map_results){ .path = path, .directory = -1 };
        if (!path)
                return 0;
        if (mkdir(path, 0777) == 0 || errno == EEXIST)
                results->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (results->directory >= 0)
                return 0;
        int err = errno;
        cli_complain("map: cannot use the directory %s: %s", path, strerror(err));
        return -err;
}

void map_results_done(struct map_results *results) {
        tdestroy(results->names, free);
        results->names = NULL;
        if (results->path && results->directory >= 0)
                close(results->directory);
}

/* ---- names ---- */

/* As GNU parallel spells them: "a/b" is a\_b. What isn't spelled has no backslash, so no two items get one name. */
static char *spell(char *at, const char *text) {
        static const char from[] = "/\\\t\n", to[] = "_\\tn";

        if (!*text || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
                *at++ = '\\';
        if (!*text)
                *at++ = '0';
        for (; *text; text++) {
                const char *special = strchr(from, *text);
                if (special)
                        *at++ = '\\';
                *at++ = special ? to[special - from] : *text;
        }
        return at;
}

static int compare(const void *a, const void *b) {
        return strcmp(a, b);
}

/* The same item again is NAME\.2, NAME\.3 and so on. */
int map_results_name(struct map_results *results, struct map_item *item) {
        enum { NUMBER_SIZE = 24 };

        if (!results->path)
                return 0;
        char *name = malloc(2 * strlen(item->text) + NUMBER_SIZE);
        if (!name)
                return -ENOMEM;
        char *end = spell(name, item->text);
        *end = 0;
        for (unsigned long n = 2;; n++) {
                char **found = tsearch(name, &results->names, compare);
                if (!found)
                        break;
                if (*found == name) {
                        item->file = name; /* the tree's */
                        return 0;
                }
                snprintf(end, NUMBER_SIZE, "\\.%lu", n);
        }
        free(name);
        return -ENOMEM;
}

/* ---- files ---- */

/* No item's name is spelled so. */
static int create_beside(int directory, char *name, size_t size) {
        for (unsigned n = 0;; n++) {
                snprintf(name, size, ".forkserver\\%d-%u", (int)getpid(), n);
                int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
                if (fd >= 0 || errno != EEXIST)
                        return fd >= 0 ? fd : -errno;
        }
}

int map_results_keep(const struct map_results *results, const struct map_item *item, const struct fsrv_result *result,
                     struct fsrv_error *error) {
        char name[64];
        int fd = create_beside(results->directory, name, sizeof name), r = fd;

        if (fd >= 0) {
                r = map_write_file(fd, result->bytes, result->n);
                if (close(fd) < 0 && r == 0)
                        r = -errno;
                if (r == 0 && renameat(results->directory, name, results->directory, item->file) < 0)
                        r = -errno;
                if (r < 0)
                        unlinkat(results->directory, name, 0);
        }
        return r < 0 ? cli_fail(error, FSRV_STAGE_RESULT, -r, "its result could not be kept") : 0;
}
