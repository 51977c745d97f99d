/* SPDX-License-Identifier: MIT */
/* A sandbox as bytes, and the filters that are made of it. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "wire/sandbox_codec.h"
#include "worker/filter.h"

/* As the kernel checks it: each jump lands in the filter, and its end is a return. */
static void check_filter(const struct sock_filter *filter, int n) {
        for (int i = 0; i < n; i++)
                if (BPF_CLASS(filter[i].code) == BPF_JMP)
                        FSRV_FUZZ_CHECK(i + 1 + filter[i].jt < n && i + 1 + filter[i].jf < n);
        FSRV_FUZZ_CHECK(n == 0 || BPF_CLASS(filter[n - 1].code) == BPF_RET);
}

static void check_filters(const struct fsrv__sandbox_parts *parts) {
        static struct sock_filter filter[FSRV_FILTER_ROOM], late[FSRV_FILTER_LATE_ROOM];
        int n = fsrv__filter_write(parts, parts->head.n_ports & 1, filter);
        int pid, n_late = fsrv__filter_write_late(parts, late, &pid);

        FSRV_FUZZ_CHECK(n >= 0 && n_late >= 0 && pid < n_late);
        check_filter(filter, n);
        check_filter(late, n_late);
}

static void check_again(struct fsrv__sandbox_parts *parts, const void *bytes, size_t size) {
        char *again;
        size_t n;

        if (fsrv__sandbox_encode(parts, &again, &n) < 0)
                return;
        FSRV_FUZZ_CHECK(n == size && memcmp(again, bytes, size) == 0);
        free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct fsrv__sandbox_parts parts;
        uint32_t version = FSRV_SANDBOX_VERSION;
        char *bytes = malloc(size + (size == 0));

        memcpy(bytes, data, size);
        if (size >= sizeof version && data[0] != 0) /* so that an input outlives a change of the version */
                memcpy(bytes, &version, sizeof version);
        if (fsrv__sandbox_decode(bytes, size, &parts) == 0) {
                check_filters(&parts);
                check_again(&parts, bytes, size);
                fsrv__sandbox_parts_done(&parts);
        }
        free(bytes);
        return 0;
}
