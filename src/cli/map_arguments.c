/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- places: what stands in braces in an argument ---- */

enum part { PART_ALL, PART_NO_SUFFIX, PART_NAME, PART_NAME_NO_SUFFIX, PART_DIRECTORY, PART_NUMBER, PART_SLOT };

struct place {
        const char *start, *end;
        unsigned long position; /* {2}: the second value; 0: any */
        enum part part;
};

static bool parse_place(const char *brace, struct place *ret_place) {
        static const struct {
                const char *text;
                enum part part;
        } parts[] = { { "}", PART_ALL },         { ".}", PART_NO_SUFFIX }, { "/.}", PART_NAME_NO_SUFFIX },
                      { "//}", PART_DIRECTORY }, { "/}", PART_NAME },      { "#}", PART_NUMBER },
                      { "%}", PART_SLOT } };
        char *digits_end = (char *)brace + 1;
        unsigned long position = brace[1] >= '1' && brace[1] <= '9' ? strtoul(brace + 1, &digits_end, 10) : 0;

        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
                size_t n = strlen(parts[i].text);
                if (strncmp(digits_end, parts[i].text, n) != 0)
                        continue;
                *ret_place = (struct place){ brace, digits_end + n, position, parts[i].part };
                return !(position && parts[i].part >= PART_NUMBER);
        }
        return false;
}

/* The next one at or after `from`. Behind a '$' braces are the shell's: "${1}", "${#}". */
static bool find_place(const char *arg, const char *from, struct place *ret_place) {
        for (const char *brace = from; (brace = strchr(brace, '{')); brace++)
                if (parse_place(brace, ret_place) && (brace == arg || brace[-1] != '$' || ret_place->end - brace == 2))
                        return true;
        return false;
}

static bool is_of_any_value(const struct place *place) {
        return place->position == 0 && place->part < PART_NUMBER;
}

bool map_arguments_has_place(const char *arg, bool of_values) {
        struct place place;

        for (const char *at = arg; find_place(arg, at, &place); at = place.end)
                if (!of_values || place.part < PART_NUMBER)
                        return true;
        return false;
}

/* Such an argument is there once for each value. */
static bool is_repeated(const char *arg) {
        struct place place;

        for (const char *at = arg; find_place(arg, at, &place); at = place.end)
                if (is_of_any_value(&place))
                        return true;
        return false;
}

/* ---- parts of a value, as GNU parallel has them ---- */

struct piece {
        const char *text;
        size_t n;
};

static struct piece name_of(struct piece value) {
        const char *slash = memrchr(value.text, '/', value.n);

        return slash ? (struct piece){ slash + 1, value.n - (size_t)(slash + 1 - value.text) } : value;
}

static struct piece without_suffix(struct piece value) {
        struct piece name = name_of(value);
        const char *dot = memrchr(name.text, '.', name.n);

        if (dot && dot + 1 < name.text + name.n)
                value.n = (size_t)(dot - value.text);
        return value;
}

/* As dirname(1). */
static struct piece directory_of(struct piece value) {
        while (value.n > 1 && value.text[value.n - 1] == '/')
                value.n--;
        const char *slash = memrchr(value.text, '/', value.n);
        if (!slash)
                return (struct piece){ ".", 1 };
        value.n = (size_t)(slash - value.text);
        while (value.n > 1 && value.text[value.n - 1] == '/')
                value.n--;
        return value.n ? value : (struct piece){ "/", 1 };
}

static struct piece part_of(enum part part, const char *text) {
        struct piece value = { text, strlen(text) };

        switch (part) {
        case PART_NO_SUFFIX:
                return without_suffix(value);
        case PART_NAME:
                return name_of(value);
        case PART_NAME_NO_SUFFIX:
                return without_suffix(name_of(value));
        case PART_DIRECTORY:
                return directory_of(value);
        default:
                return value;
        }
}

/* ---- the list: measured with list NULL, then written ---- */

struct list {
        char **list;
        char *at;
        size_t n, size;
};

static void append(struct list *list, const char *text, size_t n) {
        if (list->list)
                list->at = mempcpy(list->at, text, n);
        list->size += n;
}

static void begin(struct list *list) {
        if (list->list)
                list->list[list->n] = list->at;
        list->n++;
}

static void append_word(struct list *list, const char *text) {
        begin(list);
        append(list, text, strlen(text) + 1);
}

static void append_place(struct list *list, const struct place *place, const struct map_item *item, const char *value,
                         unsigned long slot) {
        char number[24];

        if (place->part >= PART_NUMBER) {
                int n = snprintf(number, sizeof number, "%lu", place->part == PART_SLOT ? slot : item->number);
                append(list, number, (size_t)n);
                return;
        }
        if (place->position)
                value = place->position <= item->n_values ? item->values[place->position - 1] : "";
        struct piece piece = part_of(place->part, value);
        append(list, piece.text, piece.n);
}

static void append_filled(struct list *list, const char *arg, const struct map_item *item, const char *value,
                          unsigned long slot) {
        struct place place;
        const char *at = arg;

        begin(list);
        for (; find_place(arg, at, &place); at = place.end) {
                append(list, at, (size_t)(place.start - at));
                append_place(list, &place, item, value, slot);
        }
        append(list, at, strlen(at) + 1);
}

static void append_arguments(struct list *list, const struct map_options *options, const struct map_item *item,
                             unsigned long slot) {
        char **arg = options->args;

        append_word(list,
                    options->target.entry ? options->target.entry : *arg++); /* the program's name stays as it is */
        for (; *arg; arg++) {
                size_t times = is_repeated(*arg) ? item->n_values : 1;
                for (size_t i = 0; i < times; i++)
                        append_filled(list, *arg, item, item->n_values ? item->values[i] : "", slot);
        }
        for (size_t i = 0; i < item->n_values && !options->has_place && !options->is_read; i++)
                append_word(list, item->values[i]);
}

char **map_arguments(const struct map_options *options, const struct map_item *item, unsigned long slot) {
        struct list list = { 0 };

        append_arguments(&list, options, item, slot);
        char **block = malloc((list.n + 1) * sizeof *block + list.size);
        if (!block)
                return NULL;
        block[list.n] = NULL;
        list = (struct list){ .list = block, .at = (char *)(block + list.n + 1) };
        append_arguments(&list, options, item, slot);
        return block;
}

size_t map_arguments_size(const struct map_options *options, const char *const *values, size_t n) {
        const struct map_item item = { .n_values = n, .values = (char **)values };
        struct list list = { 0 };

        append_arguments(&list, options, &item, 0);
        return list.size + (list.n + 1) * sizeof(char *);
}
