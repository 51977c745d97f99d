/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ps_table.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

enum { CELL_SIZE = 40, USERS = 16 };

/* ---- cells ---- */

void ps_duration_print(uint64_t ms, char *text, size_t size) {
        unsigned s = (unsigned)(ms / 1000 % 60), m = (unsigned)(ms / 60000 % 60), h = (unsigned)(ms / 3600000 % 24);
        uint64_t days = ms / 86400000;

        if (days > 0)
                snprintf(text, size, "%" PRIu64 "-%02u:%02u:%02u", days, h, m, s);
        else if (h > 0)
                snprintf(text, size, "%02u:%02u:%02u", h, m, s);
        else
                snprintf(text, size, "%02u:%02u", m, s);
}

/* Asked for once: the answer may come by the network. */
static const char *user_name(uid_t uid) {
        static struct {
                uid_t uid;
                char name[CELL_SIZE];
        } users[USERS];
        static size_t n;

        for (size_t i = 0; i < n && i < USERS; i++)
                if (users[i].uid == uid)
                        return users[i].name;
        const struct passwd *user = getpwuid(uid);
        users[n % USERS].uid = uid;
        if (user)
                cli_harmless(users[n % USERS].name, CELL_SIZE, user->pw_name);
        else
                snprintf(users[n % USERS].name, CELL_SIZE, "%u", (unsigned)uid);
        return users[n++ % USERS].name;
}

void ps_user_print(const struct ps_view *view, const struct ps_row *row, char *text, size_t size) {
        if (view->is_ours)
                snprintf(text, size, "%s", user_name(row->of.client_uid));
        else
                snprintf(text, size, "%u", (unsigned)row->of.client_uid);
}

static void print_size(uint64_t bytes, char *text, size_t size) {
        static const char units[] = "KMGTPE";
        double amount = (double)bytes / 1024;
        size_t unit = 0;

        while (amount >= 999.5 && units[unit + 1]) {
                amount /= 1024;
                unit++;
        }
        snprintf(text, size, amount < 9.95 && unit > 0 ? "%.1f%c" : "%.0f%c", amount, units[unit]);
}

static void print_cpu(uint64_t ms, char *text, size_t size) {
        snprintf(text, size, "%" PRIu64 ":%02u.%02u", ms / 60000, (unsigned)(ms / 1000 % 60),
                 (unsigned)(ms / 10 % 100));
}

char *ps_what(const struct ps_view *view, const struct ps_row *row) {
        static const char *const roles[] = { "forkserver: worker ", "forkserver: zygote " };
        char *what = view->is_ours && row->is_known ? ps_command_read(row->of.pid) : strdup("-");
        char name[sizeof row->name + 2];

        if (!what)
                return strdup("-");
        if (!what[0]) {
                free(what);
                snprintf(name, sizeof name, "[%s]", row->name);
                return strdup(name);
        }
        for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
                size_t n = strlen(roles[i]);
                if (strncmp(what, roles[i], n) == 0) {
                        memmove(what, what + n, strlen(what + n) + 1);
                        break;
                }
        }
        return what;
}

const char *ps_role_name(uint32_t role) {
        static const char *const names[] = { [FSRV_PROCESS_ZYGOTE] = "zygote",
                                             [FSRV_PROCESS_STANDBY] = "standby",
                                             [FSRV_PROCESS_WORKER] = "worker",
                                             [FSRV_PROCESS_HEIR] = "heir" };

        return role < sizeof names / sizeof *names && names[role] ? names[role] : "other";
}

/* ---- columns ---- */

enum column { PID, ROLE, AGE, CLIENT, USER, SHARE, CPU, MEM, PROCS, LEFT, SANDBOX, COLUMNS };

/* rank: where there is no room for all, those of the highest one are left out first. */
static const struct {
        const char *name;
        int rank;
} columns[COLUMNS] = {
        [PID] = { "PID", 0 },     [ROLE] = { "ROLE", 3 },  [AGE] = { "AGE", 4 },          [CLIENT] = { "CLIENT", 9 },
        [USER] = { "USER", 8 },   [SHARE] = { "%CPU", 1 }, [CPU] = { "CPU", 6 },          [MEM] = { "MEM", 2 },
        [PROCS] = { "PROCS", 5 }, [LEFT] = { "LEFT", 7 },  [SANDBOX] = { "SANDBOX", 10 },
};

/* What /proc says; "-" where it doesn't. */
static void print_known(enum column column, const struct ps_row *row, char *text, size_t size) {
        if (column == SHARE)
                snprintf(text, size, row->share < 999.95 ? "%.1f" : "%.0f", row->share);
        else if (column == CPU)
                print_cpu(row->cpu_ms, text, size);
        else if (column == PROCS)
                snprintf(text, size, "%" PRIu64, row->members);
        else if (row->has_memory)
                print_size(row->memory, text, size);
}

static void print_cell(enum column column, const struct ps_view *view, const struct ps_row *row, char *text,
                       size_t size) {
        bool is_worker = row->of.role == FSRV_PROCESS_WORKER;

        snprintf(text, size, "-");
        if (column == PID)
                snprintf(text, size, "%d", (int)row->of.pid);
        else if (column == ROLE)
                snprintf(text, size, "%s", ps_role_name(row->of.role));
        else if (column == AGE)
                ps_duration_print(row->of.age_ms, text, size);
        else if (column == CLIENT && row->of.client_pid > 0)
                snprintf(text, size, "%d", (int)row->of.client_pid);
        else if (column == USER && is_worker)
                ps_user_print(view, row, text, size);
        else if (column == LEFT && row->of.left_ms != UINT64_MAX)
                ps_duration_print(row->of.left_ms, text, size);
        else if (column == SANDBOX && row->of.is_locked)
                snprintf(text, size, "yes");
        else if ((column == SHARE || column == CPU || column == MEM || column == PROCS) && row->is_known)
                print_known(column, row, text, size);
}

struct layout {
        size_t width[COLUMNS]; /* 0: it isn't shown */
};

static void drop_columns(struct layout *layout, size_t room) {
        const size_t for_what = 8;

        for (int rank = COLUMNS; rank > 0; rank--) {
                size_t total = for_what;
                for (int c = 0; c < COLUMNS; c++)
                        total += layout->width[c] ? layout->width[c] + 1 : 0;
                for (int c = 0; c < COLUMNS && total > room; c++)
                        if (columns[c].rank == rank)
                                layout->width[c] = 0;
        }
}

static struct layout lay_out(const struct ps_view *view, const struct ps_options *options, size_t n, size_t room) {
        struct layout layout = { 0 };
        char cell[CELL_SIZE];

        for (int c = 0; c < COLUMNS; c++) {
                if ((c == ROLE && !options->all) || (c == SHARE && !options->is_top))
                        continue;
                layout.width[c] = strlen(columns[c].name);
                for (size_t i = 0; i < n; i++) {
                        print_cell((enum column)c, view, &view->rows[i], cell, sizeof cell);
                        size_t width = strlen(cell);
                        layout.width[c] = width > layout.width[c] ? width : layout.width[c];
                }
        }
        if (options->is_top && room != PS_WHOLE)
                drop_columns(&layout, room);
        return layout;
}

/* NULL: the header. */
static void print_row(FILE *out, const struct ps_view *view, const struct ps_row *row, const struct layout *layout,
                      size_t room) {
        char *text = NULL, *what = row ? ps_what(view, row) : strdup("WHAT");
        char cell[CELL_SIZE];
        size_t size;
        FILE *line = open_memstream(&text, &size);

        for (int c = 0; line && c < COLUMNS; c++) {
                if (layout->width[c] == 0)
                        continue;
                if (row)
                        print_cell((enum column)c, view, row, cell, sizeof cell);
                else
                        snprintf(cell, sizeof cell, "%s", columns[c].name);
                fprintf(line, c == USER || c == ROLE ? "%-*s " : "%*s ", (int)layout->width[c], cell);
        }
        if (line) {
                fputs(what ? what : "-", line);
                fclose(line);
                ps_line_put(out, text, room);
        }
        free(text);
        free(what);
}

void ps_table_print(FILE *out, const struct ps_view *view, const struct ps_options *options, struct ps_size size,
                    const char *line_end) {
        size_t n = view->n;

        if (size.lines != PS_WHOLE && n + 1 > size.lines)
                n = size.lines - 1;
        struct layout layout = lay_out(view, options, n, size.columns);
        print_row(out, view, NULL, &layout, size.columns);
        for (size_t i = 0; i < n; i++) {
                fputs(line_end, out);
                print_row(out, view, &view->rows[i], &layout, size.columns);
        }
}
