/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "check_sandbox.h"

#include <stdio.h>

#include "text.h"

struct report {
        bool json;
        unsigned rules, gaps;
};

static const char *name_of_state(uint32_t state) {
        switch (state) {
        case FSRV_RULE_ENFORCED:
                return "enforced";
        case FSRV_RULE_PARTLY:
                return "partly";
        default:
                return "not enforced";
        }
}

static void print_rule(const struct fsrv_sandbox_rule *rule, void *data) {
        struct report *report = data;

        report->gaps += rule->state != FSRV_RULE_ENFORCED;
        if (report->json) {
                printf("%s{\"rule\":", report->rules++ ? "," : "");
                cli_json_string(stdout, rule->what);
                printf(",\"state\":\"%s\",\"by\":", name_of_state(rule->state));
                cli_json_string(stdout, rule->by);
                printf(",\"why\":");
                cli_json_string(stdout, rule->why);
                putchar('}');
                return;
        }
        printf("%-12s  %s", name_of_state(rule->state), rule->what);
        if (rule->by[0])
                printf(" (%s)", rule->by);
        printf("%s%s\n", rule->why[0] ? ": " : "", rule->why);
}

int check_sandbox(struct cli_sandbox *sandbox, bool json) {
        struct report report = { .json = json };

        if (json)
                printf("{\"sandbox\":[");
        int r = cli_sandbox_make_and_report(sandbox, print_rule, &report);
        if (json)
                puts("]}");
        if (r < 0)
                return report.gaps ? 1 : CLI_EXIT_OURS;
        return report.gaps ? 1 : 0;
}
