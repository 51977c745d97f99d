/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/wait.h"
#include "client/process.h"
#include "client/request.h"
#include "client/spawning.h"

enum { ROOM_MS = 10 };
enum { IN_FLIGHT_MAX = 4096, HELD = 4 /* places for each call in flight, where results are told in order */ };

/* One call on its way: a spawn, then a process, then an outcome that is to be told. */
struct place {
        enum { FREE, PUT_BACK, SPAWNING, RUNNING, DONE } at;
        size_t index;
        unsigned tries;
        int64_t give_up_at; /* of waiting for room */
        bool is_polled;
        int64_t until;
        struct fsrv__spawn_extra extra;
        struct fsrv__prepared prepared;
        struct fsrv__spawning spawning;
        struct fsrv_process *process;
        int r;
        struct fsrv_result result;
        struct fsrv_error error;
};

struct batch {
        struct fsrv_server *server;
        const struct fsrv_request *request;
        const struct fsrv_input *inputs;
        size_t n, asked, told;
        unsigned in_flight, most; /* the calls that are on their way; at most */
        unsigned retries;
        bool in_order;
        int64_t full_until; /* there are no fds or processes for one more, until one has ended or this time */
        struct place *places;
        size_t n_places;
        struct pollfd *entries;
        int (*on_result)(void *data, size_t index, int r, struct fsrv_result *result, const struct fsrv_error *error);
        void *data;
};

/* ---- one call ---- */

static bool is_shortage(int r) {
        return r == -EMFILE || r == -ENFILE || r == -EAGAIN || r == -ENOMEM || r == -ETOOMANYREFS;
}

/* What the entry point itself says is final. */
static bool is_worth_another(const struct batch *batch, const struct place *place) {
        bool has_run = place->error.stage == FSRV_STAGE_RESULT || place->error.stage == FSRV_STAGE_STATUS ||
                       place->error.stage == FSRV_STAGE_SETUP;

        return place->r < 0 && place->r != -EREMOTEIO && has_run && place->tries <= batch->retries;
}

static void leave_spawn(struct place *place) {
        fsrv__spawning_leave(&place->spawning);
        fsrv__prepared_done(&place->prepared);
}

static void end_call(struct batch *batch, struct place *place) {
        batch->in_flight--;
        batch->full_until = 0;
        place->at = is_worth_another(batch, place) ? PUT_BACK : DONE;
        if (place->at == PUT_BACK)
                fsrv_result_free(&place->result);
}

/* Other calls hold what this one lacks; or it is alone, and what has ended is still being cleared away. */
static void put_back(struct batch *batch, struct place *place) {
        place->tries--;
        place->at = PUT_BACK;
        batch->full_until = batch->in_flight > 1 ? FSRV_NEVER : fsrv__deadline(ROOM_MS);
        batch->in_flight--;
}

static void on_spawn_step(struct batch *batch, struct place *place, int r) {
        if (r == 1)
                return;
        place->process = place->spawning.process;
        place->error = place->spawning.error;
        place->r = r;
        leave_spawn(place);
        if (r == 0) {
                place->at = RUNNING;
                return;
        }
        if (is_shortage(r) && (batch->in_flight > 1 || fsrv__now() < place->give_up_at))
                put_back(batch, place);
        else
                end_call(batch, place);
}

static void begin_call(struct batch *batch, struct place *place) {
        const struct fsrv_input *input = &batch->inputs[place->index];

        place->extra = (struct fsrv__spawn_extra)FSRV_SPAWN_EXTRA_NONE;
        place->extra.is_call = place->extra.until_ended = true;
        place->extra.input = input->bytes;
        place->extra.input_size = input->n;
        place->result = (struct fsrv_result){ .size = sizeof place->result };
        place->tries++;
        batch->in_flight++;
        place->r = fsrv__prepared_init(&place->prepared, batch->request, &place->extra, &place->error);
        if (place->r < 0) {
                end_call(batch, place);
                return;
        }
        place->at = SPAWNING;
        fsrv__spawning_init(&place->spawning, batch->server, &place->prepared);
        on_spawn_step(batch, place, fsrv__spawning_step(&place->spawning));
}

static void look_at_process(struct batch *batch, struct place *place) {
        int r = fsrv_process_wait(place->process, 0, NULL, &place->error);

        if (r == -ETIMEDOUT)
                return;
        if (r == 0)
                r = fsrv_process_get_result(place->process, &place->result, &place->error);
        place->r = r;
        place->process = fsrv_process_unref(place->process);
        end_call(batch, place);
}

/* ---- all of them ---- */

/* While a request waits for the server, or for room on the doorbell, others would only wait with it. */
static bool is_unsent(const struct place *place) {
        return place->at == SPAWNING && place->spawning.at < FSRV_SPAWNING_HEAR;
}

static bool has_room(const struct batch *batch) {
        for (size_t i = 0; i < batch->n_places; i++)
                if (is_unsent(&batch->places[i]))
                        return false;
        return batch->in_flight < batch->most && (batch->full_until == 0 || fsrv__now() >= batch->full_until);
}

static struct place *find_place(struct batch *batch, int at) {
        for (size_t i = 0; i < batch->n_places; i++)
                if ((int)batch->places[i].at == at)
                        return &batch->places[i];
        return NULL;
}

static void ask_for_more(struct batch *batch) {
        struct place *place;

        while (has_room(batch) && (place = find_place(batch, PUT_BACK)))
                begin_call(batch, place);
        while (has_room(batch) && batch->asked < batch->n && (place = find_place(batch, FREE))) {
                place->index = batch->asked++;
                place->tries = 0;
                place->give_up_at = fsrv__deadline(batch->request->spawn_timeout_ms);
                begin_call(batch, place);
        }
}

static struct place *find_told_next(struct batch *batch) {
        for (size_t i = 0; i < batch->n_places; i++) {
                struct place *place = &batch->places[i];
                if (place->at == DONE && (!batch->in_order || place->index == batch->told))
                        return place;
        }
        return NULL;
}

/* 0, or what on_result() said to end it all. */
static int tell_results(struct batch *batch) {
        struct place *place;
        int r = 0;

        while (r == 0 && (place = find_told_next(batch))) {
                batch->told++;
                place->at = FREE;
                r = batch->on_result(batch->data, place->index, place->r, &place->result,
                                     place->r < 0 ? &place->error : NULL);
                fsrv_result_free(&place->result);
        }
        return r;
}

/* Until when it waits, and for what; *ret_entry has no fd if it is for the time alone, or for nothing. */
static int64_t fill_entry(const struct place *place, struct pollfd *ret_entry) {
        const struct fsrv__spawning *s = &place->spawning;
        int64_t until = FSRV_NEVER;

        *ret_entry = (struct pollfd){ .fd = -1 };
        if (place->at == SPAWNING) {
                *ret_entry = (struct pollfd){ .fd = s->fd, .events = s->events };
                until = s->look_at < s->deadline ? s->look_at : s->deadline;
        } else if (place->at == RUNNING) {
                ret_entry->events = POLLIN;
                ret_entry->fd = fsrv__process_awaited_fd(place->process, &until);
        }
        return until;
}

static void take_step(struct batch *batch, struct place *place, bool is_ready, int64_t now) {
        struct fsrv__spawning *s = &place->spawning;

        if (place->at == RUNNING)
                look_at_process(batch, place);
        else if (is_ready || now >= s->look_at)
                on_spawn_step(batch, place, fsrv__spawning_step(s));
        else if (now >= s->deadline)
                on_spawn_step(batch, place, fsrv__spawning_end(s, -ETIMEDOUT));
}

/* poll(2) takes no more entries than there may be fds, so only those with an fd are in its list. */
static int wait_and_step(struct batch *batch) {
        int64_t until = batch->full_until > 0 ? batch->full_until : FSRV_NEVER;
        size_t n = 0, k = 0;

        for (size_t i = 0; i < batch->n_places; i++) {
                struct place *place = &batch->places[i];
                place->until = fill_entry(place, &batch->entries[n]);
                place->is_polled = batch->entries[n].fd >= 0;
                n += place->is_polled;
                until = place->until < until ? place->until : until;
        }
        int r = fsrv__poll_all(batch->entries, n, until, &batch->server->interrupt);
        if (r < 0)
                return r;
        int64_t now = fsrv__now();
        for (size_t i = 0; i < batch->n_places; i++) {
                struct place *place = &batch->places[i];
                bool is_ready = place->is_polled && batch->entries[k++].revents != 0;
                if (is_ready || now >= place->until)
                        take_step(batch, place, is_ready, now);
        }
        return 0;
}

/* The rest, when the caller has seen enough or there was no waiting. */
static void drop_places(struct batch *batch) {
        for (size_t i = 0; i < batch->n_places; i++) {
                struct place *place = &batch->places[i];

                if (place->at == SPAWNING) {
                        fsrv__spawning_cancel(&place->spawning);
                        leave_spawn(place);
                }
                if (place->at == RUNNING)
                        fsrv__process_end(place->process);
                if (place->at == DONE)
                        fsrv_result_free(&place->result);
        }
        free(batch->places);
        free(batch->entries);
}

static int make_places(struct batch *batch) {
        size_t n = batch->in_order ? (size_t)batch->most * HELD : batch->most;

        batch->n_places = n < batch->n ? n : batch->n;
        batch->places = calloc(batch->n_places, sizeof *batch->places);
        batch->entries = calloc(batch->n_places + 1, sizeof *batch->entries); /* one more is filled and not kept */
        return batch->places && batch->entries ? 0 : -ENOMEM;
}

int fsrv_call_many(struct fsrv_server *server, const struct fsrv_request *request, const struct fsrv_input *inputs,
                   size_t n, const struct fsrv_many *how,
                   int (*on_result)(void *data, size_t index, int r, struct fsrv_result *result,
                                    const struct fsrv_error *error),
                   void *data, struct fsrv_error *error) {
        const struct fsrv_many standard = { .size = sizeof standard };
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        struct batch batch = {
                .server = server, .request = request, .inputs = inputs, .n = n, .on_result = on_result, .data = data
        };
        int r = 0;

        how = how ? how : &standard;
        if (how->size != sizeof *how || how->in_flight > IN_FLIGHT_MAX)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                       "the size of struct fsrv_many, or more than %d calls in flight", IN_FLIGHT_MAX);
        batch.most = how->in_flight > 0 ? how->in_flight : (unsigned)processors;
        batch.retries = how->retries;
        batch.in_order = how->flags & FSRV_MANY_IN_ORDER;
        if (n == 0)
                return 0;
        if (make_places(&batch) < 0)
                r = fsrv__fail(error, FSRV_STAGE_ARGUMENT, ENOMEM, "room for %u calls", batch.most);
        while (r == 0 && batch.told < n) {
                ask_for_more(&batch);
                r = tell_results(&batch);
                bool waits = batch.in_flight > 0 || batch.full_until > 0;
                if (r == 0 && waits && (r = wait_and_step(&batch)) < 0)
                        fsrv__fail(error, FSRV_STAGE_QUEUE, -r, "waiting for the calls");
        }
        drop_places(&batch);
        return r;
}
