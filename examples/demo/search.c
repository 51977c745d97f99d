/* SPDX-License-Identifier: MIT */
/*
 * A search index that takes a second to load, both ways: as a program, `search FILE QUERY`, it loads the index for each
 * query; as a module, it loads the file that SEARCH_INDEX names once, and each query() finds it in memory.
 *
 * The file has a document on each line: its path, a tab, and its words.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int forkserver_preload(void);
int query(int argc, char **argv);

enum { BEST = 3 };

struct posting {
        uint32_t document, count;
};

struct word {
        const char *text; /* in the file's text, a space behind it; NULL: the slot is free */
        uint32_t n_text, n, room;
        struct posting *postings;
};

static struct word *words; /* a hash table; n_slots is a power of two */
static size_t n_words, n_slots = 1 << 12;
static const char **paths; /* of the documents */
static uint32_t n_documents;

static struct word *slot_of(const char *text, size_t n) {
        uint64_t hash = 0xcbf29ce484222325;

        for (size_t i = 0; i < n; i++)
                hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3;
        for (size_t i = hash ^ hash >> 32;; i++) {
                struct word *word = &words[i & (n_slots - 1)];
                if (!word->text || (word->n_text == n && memcmp(word->text, text, n) == 0))
                        return word;
        }
}

static void *or_give_up(void *memory) {
        if (!memory) {
                fprintf(stderr, "search: there is not enough memory for the index\n");
                exit(1);
        }
        return memory;
}

static void grow_table(void) {
        struct word *old = words;
        size_t n_old = n_slots;

        words = or_give_up(calloc(n_slots *= 2, sizeof *words));
        for (size_t i = 0; i < n_old; i++)
                if (old[i].text)
                        *slot_of(old[i].text, old[i].n_text) = old[i];
        free(old);
}

static void add_word(const char *text, size_t n, uint32_t document) {
        struct word *word = slot_of(text, n);

        if (!word->text) {
                if (++n_words > n_slots / 2) {
                        grow_table();
                        word = slot_of(text, n);
                }
                word->text = text, word->n_text = n;
        }
        if (word->n > 0 && word->postings[word->n - 1].document == document) {
                word->postings[word->n - 1].count++;
                return;
        }
        if (word->n == word->room) {
                word->room = word->room ? word->room * 2 : 2;
                word->postings = or_give_up(realloc(word->postings, word->room * sizeof *word->postings));
        }
        word->postings[word->n++] = (struct posting){ document, 1 };
}

/* Adds a document's words, which end with its line. */
static void add_document(char *line, char *end) {
        char *at = memchr(line, '\t', (size_t)(end - line));

        if (!at)
                return;
        if (n_documents % 1024 == 0)
                paths = or_give_up(realloc(paths, (n_documents + 1024) * sizeof *paths));
        *at++ = 0;
        paths[n_documents] = line;
        while (at < end) {
                char *space = memchr(at, ' ', (size_t)(end - at));
                char *behind = space ? space : end;
                if (behind > at)
                        add_word(at, (size_t)(behind - at), n_documents);
                at = behind + 1;
        }
        n_documents++;
}

/* Returns the file's text, which stays, or NULL. */
static char *read_file(const char *path, size_t *n) {
        FILE *file = fopen(path, "r");
        char *text = NULL;

        if (!file)
                return NULL;
        if (fseek(file, 0, SEEK_END) == 0) {
                *n = (size_t)ftell(file);
                rewind(file);
                text = or_give_up(malloc(*n + 1));
                *n = fread(text, 1, *n, file);
        }
        fclose(file);
        return text;
}

static int load(const char *path) {
        size_t n;
        char *line = path ? read_file(path, &n) : NULL, *end;

        if (!line) {
                fprintf(stderr, "search: the index cannot be read\n");
                return -1;
        }
        words = or_give_up(calloc(n_slots, sizeof *words));
        for (char *text_end = line + n; line < text_end; line = end + 1) {
                end = memchr(line, '\n', (size_t)(text_end - line));
                end = end ? end : text_end;
                add_document(line, end);
        }
        return 0;
}

/* Prints the documents with the highest scores, and forgets these. */
static void print_best(double *scores) {
        for (int i = 0; i < BEST; i++) {
                uint32_t best = 0;
                for (uint32_t j = 1; j < n_documents; j++)
                        best = scores[j] > scores[best] ? j : best;
                if (n_documents == 0 || scores[best] == 0)
                        break;
                printf("%s %s", i ? "," : "", paths[best]);
                scores[best] = 0;
        }
        putchar('\n');
}

/* The entry point: the arguments are the words; it prints the documents that have the most of the rarest of them. */
int query(int argc, char **argv) {
        double *scores = or_give_up(calloc(n_documents + 1, sizeof *scores));

        for (int i = 1; i < argc; i++) {
                printf("%s:", argv[i]);
                for (char *rest, *text = strtok_r(argv[i], " ", &rest); text; text = strtok_r(NULL, " ", &rest)) {
                        struct word *word = slot_of(text, strlen(text));
                        struct posting *posting = word->postings;
                        /* A bug, for the demo: a word that no document has has no postings, and the first is read. */
                        do
                                scores[posting->document] += log1p(posting->count) * log((double)n_documents / word->n);
                        while (++posting < word->postings + word->n);
                }
        }
        print_best(scores);
        free(scores);
        return 0;
}

/* Called once by the zygote. Module and function need no header and no library of Forkserver's. */
int forkserver_preload(void) {
        return load(getenv("SEARCH_INDEX"));
}

int main(int argc, char **argv) {
        if (argc < 3) {
                fprintf(stderr, "usage: search FILE QUERY...\n");
                return 2;
        }
        return load(argv[1]) < 0 ? 1 : query(argc - 1, argv + 1);
}
