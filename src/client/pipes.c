/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>

#include "base/error.h"
#include "base/fd.h"
#include "client/spawn.h"

int fsrv_spawn_pipes(struct fsrv_server *server, const struct fsrv_request *request, uint32_t which, int ret_fds[3],
                     struct fsrv_process **ret_process, struct fsrv_error *error) {
        struct fsrv__spawn_extra extra = FSRV_SPAWN_EXTRA_NONE;
        int ours[3] = { -1, -1, -1 }, *theirs = extra.streams, r = 0;

        if (which & ~(FSRV_PIPE_STDIN | FSRV_PIPE_STDOUT | FSRV_PIPE_STDERR))
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "unknown pipes %#x", which);
        for (int i = 0; r == 0 && i < 3; i++) {
                int ends[2];

                if (!(which & 1u << i))
                        continue;
                r = fsrv__pipe(ends);
                if (r < 0) {
                        r = fsrv__fail(error, FSRV_STAGE_ARGUMENT, -r, "a pipe");
                        break;
                }
                theirs[i] = ends[i == 0 ? 0 : 1];
                ours[i] = ends[i == 0 ? 1 : 0];
        }
        if (r == 0)
                r = fsrv__spawn_with(server, request, &extra, ret_process, NULL, error);
        fsrv__fds_close(theirs, 3);
        if (r < 0) {
                fsrv__fds_close(ours, 3);
                return r;
        }
        for (int i = 0; i < 3; i++)
                ret_fds[i] = ours[i];
        return 0;
}
