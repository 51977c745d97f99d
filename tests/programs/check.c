/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "words.h"

static const int signals[5] = { SIGKILL, SIGSEGV, SIGTERM, SIGABRT, SIGUSR1 };

static void note(struct tally *tally, unsigned long *counter, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

static void note(struct tally *tally, unsigned long *counter, const char *format, ...) {
        va_list args;

        pthread_mutex_lock(&tally->lock);
        (*counter)++;
        if (!tally->first[0] && format) {
                va_start(args, format);
                vsnprintf(tally->first, sizeof tally->first, format, args);
                va_end(args);
        }
        pthread_mutex_unlock(&tally->lock);
}

/* A program, whose process borrows a standby's memory. */
static int set_program(struct fsrv_request *request, const struct item *item) {
        char command[32];

        snprintf(command, sizeof command, "exit %d", item->exit_code);
        int r = fsrv_request_set_program(request, "/bin/sh");
        return r < 0 ? r : fsrv_request_set_argv(request, (const char *const[]){ "sh", "-c", command, NULL });
}

static struct fsrv_request *prepare(const char *module, const struct item *item, bool is_program) {
        char entry[4096], word[16];
        struct fsrv_request *request;

        if (fsrv_request_new(&request) < 0)
                return NULL;
        if (is_program)
                return set_program(request, item) < 0 ? fsrv_request_free(request) : request;
        snprintf(entry, sizeof entry, "%s:%s", module, item->signal ? "die_by" : "exit_with");
        snprintf(word, sizeof word, "%d", item->signal ? item->signal : item->exit_code);
        if (fsrv_request_set_entry(request, entry) < 0 ||
            fsrv_request_set_argv(request, (const char *const[]){ entry, word, NULL }) < 0)
                return fsrv_request_free(request);
        return request;
}

bool item_spawn(struct fsrv_server *server, const char *module, unsigned long i, struct item *ret_item,
                struct tally *tally) {
        struct item item = { .exit_code = (int)(i % 200) };
        struct fsrv_error error = { 0 };

        if (i % 11 == 3)
                item = (struct item){ .exit_code = -1, .signal = signals[i / 11 % 5] };
        struct fsrv_request *request = prepare(module, &item, i % 11 == 7);
        int r = request ? fsrv_spawn(server, request, &item.process, &error) : -ENOMEM;
        fsrv_request_free(request);
        if (r < 0) {
                note(tally, &tally->failed, "spawn %lu: stage %s, %s: %s", i, fsrv_stage_name(error.stage),
                     strerrorname_np(-r), error.text);
                return false;
        }
        *ret_item = item;
        return true;
}

void item_check(struct item *item, struct tally *tally) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error = { 0 };
        int r = fsrv_process_wait(item->process, 60000, &status, &error);
        pid_t pid = fsrv_process_get_pid(item->process);

        if (r == -EOWNERDEAD)
                note(tally, &tally->lost, NULL);
        else if (r < 0)
                note(tally, &tally->wrong, "waiting for %d: %s: %s", (int)pid, strerrorname_np(-r), error.text);
        else if (status.pid != pid || status.exit_code != item->exit_code || status.signal != item->signal)
                note(tally, &tally->wrong, "process %d: pid %d, exit code %d, signal %d instead of %d, %d", (int)pid,
                     (int)status.pid, status.exit_code, status.signal, item->exit_code, item->signal);
        else
                note(tally, &tally->right, NULL);
        item->process = fsrv_process_unref(item->process);
}

void tally_print(struct tally *tally) {
        printf("\"right\":%lu,\"wrong\":%lu,\"lost\":%lu,\"failed\":%lu,\"first\":", tally->right, tally->wrong,
               tally->lost, tally->failed);
        json_string(stdout, tally->first, strlen(tally->first));
}
