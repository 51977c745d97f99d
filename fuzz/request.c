/* SPDX-License-Identifier: MIT */
/* The request codec alone: what decodes is encoded again, and has to be the same. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "wire/request_codec.h"

static size_t walk(char *const *list) {
        size_t n = 0;

        for (; *list; list++)
                n += strlen(*list);
        return n;
}

static void decode(const struct fsrv__wire_request *head, const void *body) {
        struct fsrv__request_parts parts;
        char *room[16], *bytes;
        size_t size;

        if (fsrv__request_decode(head, body, room, sizeof room / sizeof *room, &parts) < 0)
                return;
        walk(parts.argv);
        walk(parts.environment);
        walk(parts.paths);
        FSRV_FUZZ_CHECK(fsrv__request_encode(&parts, &bytes, &size) == 0);
        FSRV_FUZZ_CHECK(size == sizeof *head + head->body_size);
        FSRV_FUZZ_CHECK(memcmp(bytes, head, sizeof *head) == 0 &&
                        memcmp(bytes + sizeof *head, body, head->body_size) == 0);
        free(bytes);
        fsrv__request_parts_done(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct fsrv__wire_request head;

        if (size < sizeof head)
                return 0;
        memcpy(&head, data, sizeof head);
        head.version = FSRV_WIRE_VERSION;
        head.body_size = size - sizeof head;
        if (fsrv__request_check_head(&head) < 0)
                return 0;
        void *body = malloc(head.body_size); /* of exactly that size: a byte beyond is seen */
        memcpy(body, data + sizeof head, head.body_size);
        decode(&head, body);
        free(body);
        return 0;
}
