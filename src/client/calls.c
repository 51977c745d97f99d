/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>

#include "base/error.h"
#include "client/spawn.h"

int fsrv_call(struct fsrv_server *server, const struct fsrv_request *request, const void *input, size_t n,
              struct fsrv_result *ret_result, struct fsrv_error *error) {
        struct fsrv__spawn_extra extra = FSRV_SPAWN_EXTRA_NONE;
        struct fsrv_process *process;

        if (!ret_result || ret_result->size != sizeof *ret_result)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "the size of struct fsrv_result");
        *ret_result = (struct fsrv_result){ .size = sizeof *ret_result };
        extra.is_call = extra.until_ended = true;
        extra.input = input;
        extra.input_size = n;
        int r = fsrv__spawn_with(server, request, &extra, &process, NULL, error);
        if (r < 0)
                return r;
        r = fsrv_process_wait(process, -1, NULL, error);
        if (r == 0)
                r = fsrv_process_get_result(process, ret_result, error);
        fsrv_process_unref(process);
        return r;
}
