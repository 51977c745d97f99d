/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tracker/resources.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((void)((element)->in_set = false))
#include <uthash.h>

#include "tracker/complaint.h"

enum { TEXT_MAX = 1100 }; /* a name of 255 bytes, each as four characters */

struct fsrv__resource {
        UT_hash_handle hh;
        bool in_set;
        int err; /* why it could not be removed; 0: it was */
        enum fsrv__tracker_type type;
        char key[]; /* the type's number plus 1, then the name: different for each, and without a NUL but its last */
};

static void make_key(char ret_key[FSRV_TRACKER_NAME_MAX + 2], enum fsrv__tracker_type type, const char *name) {
        ret_key[0] = (char)(1 + type);
        strcpy(ret_key + 1, name);
}

static struct fsrv__resource *find_resource(struct fsrv__resource *set, enum fsrv__tracker_type type,
                                            const char *name) {
        struct fsrv__resource *resource;
        char key[FSRV_TRACKER_NAME_MAX + 2];

        make_key(key, type, name);
        HASH_FIND_STR(set, key, resource);
        return resource;
}

bool fsrv__resources_add(struct fsrv__resource **set, enum fsrv__tracker_type type, const char *name) {
        if (find_resource(*set, type, name))
                return true;
        struct fsrv__resource *resource = calloc(1, sizeof *resource + strlen(name) + 2);
        if (!resource)
                return false;
        make_key(resource->key, type, name);
        resource->type = type;
        resource->in_set = true;
        HASH_ADD_STR(*set, key, resource);
        bool added = resource->in_set;
        if (!added)
                free(resource);
        return added;
}

bool fsrv__resources_remove(struct fsrv__resource **set, enum fsrv__tracker_type type, const char *name) {
        struct fsrv__resource *resource = find_resource(*set, type, name);

        if (!resource)
                return false;
        HASH_DEL(*set, resource);
        free(resource);
        return true;
}

/* ---- the end ---- */

static const char *describe_resource(const struct fsrv__resource *resource, char ret_text[TEXT_MAX]) {
        int n = snprintf(ret_text, TEXT_MAX, "%s ", fsrv__tracker_type_name(resource->type));

        fsrv__tracker_escape(resource->key + 1, strlen(resource->key + 1), ret_text + n, (size_t)(TEXT_MAX - n));
        return ret_text;
}

static int unlink_resource(const struct fsrv__resource *resource) {
        const char *name = resource->key + 1;

        switch (resource->type) {
        case FSRV_TRACKER_SEMAPHORE:
                return sem_unlink(name) < 0 ? errno : 0;
        case FSRV_TRACKER_SHARED_MEMORY:
                return shm_unlink(name) < 0 ? errno : 0;
        default:
                return 0;
        }
}

/* One line with the names of all that have this outcome; a line for each, if memory is short. */
static void say_names(const struct fsrv__resource *set, int err, const char *what) {
        char *text = NULL, one[TEXT_MAX];
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        unsigned n = 0;

        for (const struct fsrv__resource *resource = set; resource; resource = resource->hh.next) {
                if (resource->err != err)
                        continue;
                if (out)
                        fprintf(out, "%s%s", n > 0 ? ", " : "", describe_resource(resource, one));
                else
                        fsrv__tracker_say("%s: %s", what, describe_resource(resource, one));
                n++;
        }
        if (out && fclose(out) == 0 && n > 0)
                fsrv__tracker_say("%s: %s", what, text);
        free(text);
}

static void free_set(struct fsrv__resource **set) {
        struct fsrv__resource *resource = *set, *next;

        HASH_CLEAR(hh, *set);
        for (; resource; resource = next) {
                next = resource->hh.next;
                free(resource);
        }
}

int fsrv__resources_clean_up(struct fsrv__resource **set) {
        int outcome = FSRV_TRACKER_CLEAN;
        char one[TEXT_MAX];

        /* All are removed before anything is written: the reader of standard error may have stopped reading. */
        for (struct fsrv__resource *resource = *set; resource; resource = resource->hh.next)
                resource->err = unlink_resource(resource);
        say_names(*set, 0, "removed what was left behind");
        say_names(*set, ENOENT, "gone already, but never unregistered"); /* no leak */
        for (struct fsrv__resource *resource = *set; resource; resource = resource->hh.next) {
                if (resource->err == 0 && outcome == FSRV_TRACKER_CLEAN)
                        outcome = FSRV_TRACKER_LEFT;
                if (resource->err == 0 || resource->err == ENOENT)
                        continue;
                outcome = FSRV_TRACKER_FAILED;
                fsrv__tracker_say("cannot remove %s: %s", describe_resource(resource, one),
                                  strerrordesc_np(resource->err));
        }
        free_set(set);
        return outcome;
}
