/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "map_arguments.h"
#include "map_schedule.h"
#include "map_stdin.h"

enum { BLOCK = 1 << 20 };

enum {
        OPT_TAG = 256,
        OPT_LINE_BUFFER,
        OPT_TTY,
        OPT_DRY_RUN,
        OPT_SLICE,
        OPT_HALT,
        OPT_RETRIES,
        OPT_DELAY,
        OPT_LOAD,
        OPT_STDIN,
        OPT_PAYLOAD,
        OPT_RESULT,
        OPT_PIPE,
        OPT_BLOCK,
        OPT_JSON,
        OPT_RESUME,
        OPT_PROGRESS,
        OPT_QUIET
};

static const char short_options[] = "+:hj:P:0a:kun:Xt";

static const struct option long_options[] = {
        { "jobs", required_argument, NULL, 'j' },
        { "max-procs", required_argument, NULL, 'P' },
        { "null", no_argument, NULL, '0' },
        { "arg-file", required_argument, NULL, 'a' },
        { "ordered", no_argument, NULL, 'k' },
        { "ungroup", no_argument, NULL, 'u' },
        { "max-args", required_argument, NULL, 'n' },
        { "fill", no_argument, NULL, 'X' },
        { "tty", no_argument, NULL, OPT_TTY },
        { "tag", no_argument, NULL, OPT_TAG },
        { "line-buffer", no_argument, NULL, OPT_LINE_BUFFER },
        { "dry-run", no_argument, NULL, OPT_DRY_RUN },
        { "slice", required_argument, NULL, OPT_SLICE },
        { "halt", required_argument, NULL, OPT_HALT },
        { "retries", required_argument, NULL, OPT_RETRIES },
        { "delay", required_argument, NULL, OPT_DELAY },
        { "load", required_argument, NULL, OPT_LOAD },
        { "verbose", no_argument, NULL, 't' },
        { "stdin", no_argument, NULL, OPT_STDIN },
        { "payload", no_argument, NULL, OPT_PAYLOAD },
        { "result", required_argument, NULL, OPT_RESULT },
        { "pipe", no_argument, NULL, OPT_PIPE },
        { "block", required_argument, NULL, OPT_BLOCK },
        { "json", required_argument, NULL, OPT_JSON },
        { "resume", no_argument, NULL, OPT_RESUME },
        { "progress", no_argument, NULL, OPT_PROGRESS },
        { "quiet", no_argument, NULL, OPT_QUIET },
        { "call", required_argument, NULL, CLI_OPT_CALL },
        CLI_TARGET_OPTIONS,
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
};

/* ---- sources ---- */

static int add_source(struct map_options *options, struct map_source source) {
        struct map_source *grown = reallocarray(options->sources, options->n_sources + 1, sizeof *grown);

        if (!grown) {
                cli_complain("map: out of memory");
                return -ENOMEM;
        }
        options->sources = grown;
        options->sources[options->n_sources++] = source;
        return 0;
}

static bool is_list_mark(const char *word) {
        return strcmp(word, ":::") == 0 || strcmp(word, "::::") == 0;
}

static bool is_linking_mark(const char *word) {
        return strcmp(word, ":::+") == 0 || strcmp(word, "::::+") == 0;
}

/* "PROGRAM ARG... ::: WORD... :::: FILE...": the marks end the arguments, and each file is a source of its own. */
static int take_lists(struct map_options *options) {
        char **word = options->args;
        int r = 0;

        for (char **mark = word; *mark; mark++)
                if (is_linking_mark(*mark)) {
                        cli_usage_error("map",
                                        "'%s': lists cannot be linked; each value of one goes with each of the others",
                                        *mark);
                        return -EINVAL;
                }
        while (*word && !is_list_mark(*word))
                word++;
        while (*word && r == 0) {
                bool files = strcmp(*word, "::::") == 0;
                char **first = word + 1;
                *word = NULL; /* the end of the arguments */
                for (word = first; *word && !is_list_mark(*word);)
                        word++;
                if (!files)
                        r = add_source(options, (struct map_source){ .words = first, .n = (size_t)(word - first) });
                for (; files && first < word && r == 0; first++)
                        r = add_source(options, (struct map_source){ .file = *first });
        }
        return r;
}

bool map_options_has_lists(const struct map_options *options) {
        return options->max_values > 1 || options->n_sources > 1;
}

/* ---- options ---- */

static bool take_flag(struct map_options *options, int c) {
        static const struct {
                int option;
                size_t offset;
        } flags[] = {
                { 'k', offsetof(struct map_options, ordered) },
                { 'u', offsetof(struct map_options, ungroup) },
                { 't', offsetof(struct map_options, verbose) },
                { 'X', offsetof(struct map_options, fill) },
                { OPT_TTY, offsetof(struct map_options, tty) },
                { OPT_STDIN, offsetof(struct map_options, to_stdin) },
                { OPT_PAYLOAD, offsetof(struct map_options, to_payload) },
                { OPT_PIPE, offsetof(struct map_options, pipe) },
                { OPT_RESUME, offsetof(struct map_options, resume) },
                { OPT_TAG, offsetof(struct map_options, tag) },
                { OPT_LINE_BUFFER, offsetof(struct map_options, line_buffer) },
                { OPT_DRY_RUN, offsetof(struct map_options, dry_run) },
                { OPT_PROGRESS, offsetof(struct map_options, progress) },
                { OPT_QUIET, offsetof(struct map_options, quiet) },
        };

        for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
                if (flags[i].option == c)
                        return *(bool *)((char *)options + flags[i].offset) = true;
        return false;
}

static int complain_of_option(int c, char **argv) {
        char letter[] = { '-', (char)optopt, 0 };
        const char *word = argv[optind - 1], *hint = map_hint(strncmp(word, "--", 2) == 0 ? word : letter);

        if (c == '?' && hint)
                cli_usage_error("map", "%s", hint);
        else
                cli_bad_option("map", c, argv);
        return -EINVAL;
}

static int take_option(struct map_options *options, int c, char **argv) {
        if (take_flag(options, c))
                return 0;
        switch (c) {
        case 'j':
        case 'P':
                return map_parse_jobs(optarg, &options->jobs);
        case 'n':
                return cli_parse_number("--max-args", optarg, 1, 1000000000, &options->max_values);
        case OPT_SLICE:
                return map_parse_slice(optarg, &options->slice);
        case OPT_HALT:
                return map_parse_halt(optarg, &options->halt);
        case OPT_BLOCK:
                return map_parse_block(optarg, &options->block);
        case OPT_RETRIES:
                return cli_parse_number("--retries", optarg, 1, 1000000000, &options->tries);
        case OPT_DELAY:
                return cli_parse_seconds(optarg, &options->delay);
        case OPT_LOAD:
                return map_parse_load(optarg, &options->load);
        case '0':
                options->separator = 0;
                return 0;
        case 'a':
                return add_source(options, (struct map_source){ .file = optarg });
        case OPT_JSON:
                options->json = optarg;
                return 0;
        case OPT_RESULT:
                options->result = optarg;
                return 0;
        case '?':
        case ':':
                return complain_of_option(c, argv);
        default:
                return cli_target_take_option(&options->target, c);
        }
}

/* Blocks have nothing to do with either; a file instead of standard input is all right. */
static bool has_sources_or_places(const struct map_options *options) {
        bool found = options->n_sources > 1 || (options->n_sources == 1 && !options->sources[0].file);

        for (char **arg = options->args + (options->target.entry ? 0 : 1); *arg && !found; arg++)
                found = map_arguments_has_place(*arg, true);
        return found;
}

/* What is wrong with the options together; NULL: nothing. */
static const char *find_conflict(const struct map_options *options) {
        bool many = options->max_values || options->fill;

        if (!options->target.entry && !options->args[0])
                return "a PROGRAM is missing";
        if (options->target.sandbox.strict && !cli_sandbox_is_wanted(&options->target.sandbox))
                return "--strict needs --sandbox";
        if (options->tag && options->ungroup)
                return "--tag and --ungroup exclude each other";
        if (options->tty && (options->tag || options->line_buffer))
                return "--tty lends the terminal to the item, so there is no --tag or --line-buffer";
        if (options->line_buffer && options->ungroup)
                return "--line-buffer and --ungroup exclude each other";
        if (options->resume && (!options->json || strcmp(options->json, "-") == 0))
                return "--resume goes on with the report of --json FILE, which is missing";
        if (options->target.quick_exit && !options->target.entry)
                return "--quick-exit is for --call: a program has exit functions of its own alone";
        if ((options->result || options->to_payload) && !options->target.entry)
                return "--result and --payload are for --call: a program has neither";
        if (options->to_stdin && options->to_payload)
                return "--stdin and --payload exclude each other";
        if (options->fill && (options->to_stdin || options->to_payload))
                return "-X is for arguments; '-n N' gives a process N items by --stdin or --payload";
        if (options->block && !options->pipe)
                return "--block is for --pipe";
        if (options->pipe && (many || options->resume || has_sources_or_places(options)))
                return "--pipe gives each process a block of the input, so there is no -n, -X, ':::', {} or --resume";
        if (options->tty && (options->to_stdin || options->pipe))
                return "--tty lends the terminal to the item, so there is no --stdin or --pipe";
        if (many && options->n_sources > 1)
                return "-n and -X are for one source; of several each process gets a combination";
        return cli_attributes_find_conflict(&options->target.attributes);
}

static int check(struct map_options *options) {
        const char *conflict = find_conflict(options);

        if (options->target.entry && !cli_is_entry(options->target.entry))
                cli_usage_error("map", "--call: '%s' is not MODULE:FUNCTION", options->target.entry);
        else if (conflict)
                cli_usage_error("map", "%s", conflict);
        else
                return 0;
        return -EINVAL;
}

int map_options_parse(struct map_options *options, int argc, char **argv) {
        int c, r = 0;

        *options = (struct map_options){
                .target = CLI_TARGET_INIT, .separator = '\n', .jobs = map_cpus(), .slice = { 1, 1 }
        };
        opterr = 0;
        while (r == 0 && (c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
                if (c == 'h')
                        return 1;
                r = take_option(options, c, argv);
        }
        options->args = argv + optind;
        if (r < 0 || (r = take_lists(options)) < 0 || (r = check(options)) < 0 ||
            (r = cli_sandbox_make(&options->target.sandbox)) < 0)
                return r;
        if (options->tty) {
                options->jobs = 1;
                options->ungroup = true;
        }
        if (options->pipe) {
                options->to_stdin = !options->to_payload;
                options->block = options->block ? options->block : BLOCK;
        }
        options->is_read = options->to_stdin || options->to_payload;
        if (!options->max_values)
                options->max_values = options->fill ? ULONG_MAX : 1;
        for (char **arg = options->args + (options->target.entry ? 0 : 1); *arg; arg++)
                options->has_place |= map_arguments_has_place(*arg, false);
        return 0;
}

void map_options_done(struct map_options *options) {
        free(options->sources);
        cli_target_done(&options->target);
}
