/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_resume.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "map_report_line.h"

/* ---- the table: values, each with its NUL, and how often they succeeded ---- */

struct map_success {
        char *values; /* NULL: free */
        size_t size;
        unsigned long count;
};

static uint64_t hash(const char *bytes, size_t n) {
        uint64_t sum = 14695981039346656037u; /* FNV-1a */

        for (size_t i = 0; i < n; i++)
                sum = (sum ^ (unsigned char)bytes[i]) * 1099511628211u;
        return sum ^ sum >> 32;
}

/* The entry of these values, or the free one where they would be. */
static struct map_success *find(struct map_success *table, size_t size, const char *values, size_t n) {
        size_t i = hash(values, n) % size;

        while (table[i].values && (table[i].size != n || memcmp(table[i].values, values, n) != 0))
                i = (i + 1) % size;
        return &table[i];
}

static int grow(struct map_resume *resume) {
        size_t size = resume->size ? resume->size * 2 : 1024;
        struct map_success *table = calloc(size, sizeof *table);

        if (!table)
                return -ENOMEM;
        for (size_t i = 0; i < resume->size; i++)
                if (resume->table[i].values)
                        *find(table, size, resume->table[i].values, resume->table[i].size) = resume->table[i];
        free(resume->table);
        resume->table = table;
        resume->size = size;
        return 0;
}

static int add(struct map_resume *resume, const char *values, size_t n) {
        if (2 * resume->n >= resume->size && grow(resume) < 0)
                return -ENOMEM;
        struct map_success *entry = find(resume->table, resume->size, values, n);
        if (!entry->values) {
                char *copy = malloc(n);
                if (!copy)
                        return -ENOMEM;
                *entry = (struct map_success){ .values = memcpy(copy, values, n), .size = n };
                resume->n++;
        }
        entry->count++;
        return 0;
}

bool map_resume_take(struct map_resume *resume, const struct map_item *item) {
        if (!resume->n || !item->n_values)
                return false;
        const char *last = item->values[item->n_values - 1]; /* an item's values lie behind each other */
        struct map_success *entry =
                find(resume->table, resume->size, item->values[0], (size_t)(last + strlen(last) + 1 - item->values[0]));
        if (!entry->values || entry->count == 0)
                return false;
        entry->count--;
        return true;
}

/* ---- the file ---- */

static bool is_torn(const char *line) {
        static const char start[] = "{\"item";
        size_t n = strlen(line);

        return strncmp(line, start, n < sizeof start - 1 ? n : sizeof start - 1) == 0;
}

/* A line of 0 bytes, or with some in it, is what a file system makes of writes that a dead node didn't finish. */
static bool is_damaged(const char *line, size_t n) {
        return strlen(line) != n && is_torn(line);
}

static int take_line(struct map_resume *resume, char *line) {
        struct map_report_line parsed;

        if (map_report_line_parse(line, &parsed) < 0)
                return -EINVAL;
        return parsed.succeeded && !parsed.lost ? add(resume, parsed.values, parsed.size) : 0;
}

static int read_lines(struct map_resume *resume, FILE *file, const char *path) {
        char *line = NULL;
        size_t room = 0;
        ssize_t n;
        int r = 0;

        for (unsigned long number = 1; r == 0 && (n = getline(&line, &room, file)) > 0; number++) {
                if (line[n - 1] != '\n' && is_torn(line))
                        break; /* a run that was killed wrote no more of it */
                if (is_damaged(line, (size_t)n)) {
                        cli_complain("map: --resume: line %lu of %s is damaged: what it said runs again", number, path);
                        continue;
                }
                r = strlen(line) == (size_t)n ? take_line(resume, line) : -EINVAL;
                if (r == -EINVAL)
                        cli_complain("map: --resume: line %lu of %s is not of a report", number, path);
                else if (r < 0)
                        cli_complain("map: out of memory");
        }
        if (r == 0 && ferror(file)) {
                cli_complain("map: cannot read %s: %s", path, strerror(errno));
                r = -EIO;
        }
        free(line);
        return r;
}

int map_resume_open(struct map_resume *resume, const char *path) {
        FILE *file = fopen(path, "re");

        *resume = (struct map_resume){ 0 };
        if (!file && errno == ENOENT)
                return 0;
        if (!file) {
                int err = errno;
                cli_complain("map: cannot read %s: %s", path, strerror(err));
                return -err;
        }
        int r = read_lines(resume, file, path);
        fclose(file);
        return r;
}

void map_resume_done(struct map_resume *resume) {
        for (size_t i = 0; i < resume->size; i++)
                free(resume->table[i].values);
        free(resume->table);
        *resume = (struct map_resume){ 0 };
}
