/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map.h"
#include "map_command.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

/* ---- the dry run ---- */

static int fill_dry(struct map_items *items) {
        struct pollfd entry = { .fd = items->input.fd, .events = POLLIN };

        if (fflush(stdout) != 0) /* a reader that follows sees what there is, and an error ends it */
                return -errno;
        poll(&entry, 1, -1);
        return map_items_fill(items);
}

static int dry_run(const struct map_options *options, struct map_items *items) {
        signal(SIGPIPE, SIG_DFL);
        for (;;) {
                struct map_item *item;
                char **list;
                int r = map_items_take(items, &item);

                if (r == 0)
                        r = fill_dry(items);
                else if (r == 1) {
                        list = map_arguments(options, item, 1);
                        r = list ? 0 : -ENOMEM;
                        if (list)
                                map_print_command(stdout, list);
                        else
                                cli_complain("map: out of memory");
                        free(list);
                        map_item_free(item);
                }
                if (r < 0)
                        return r == -ENODATA ? 0 : CLI_EXIT_OURS;
        }
}

int cli_map(int argc, char **argv) {
        struct map_options options;
        struct map_items items;
        int code = CLI_EXIT_OURS, r = map_options_parse(&options, argc, argv);

        if (r == 1)
                code = fputs(map_help, stdout) < 0 ? CLI_EXIT_OURS : 0;
        else if (r == 0 && options.args[0] && !options.target.entry && !*options.args[0]) {
                cli_complain("no program has the empty name");
                code = CLI_EXIT_NOT_FOUND;
        } else if (r == 0) {
                if (map_items_open(&items, &options) == 0)
                        code = options.dry_run ? dry_run(&options, &items) : map_run(&options, &items);
                map_items_done(&items);
        }
        map_options_done(&options);
        return code;
}
