/* SPDX-License-Identifier: MIT */
/* What server and zygote tell each other about themselves: the configuration, and what loading a module did. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "wire/config.h"
#include "wire/loaded.h"

static void check_config(char *bytes, size_t size, bool wrong_version) {
        static char again[FSRV_WIRE_MESSAGE_MAX];
        uint32_t version = FSRV_WIRE_VERSION;
        struct fsrv__config config;

        if (!wrong_version && size >= sizeof version)
                memcpy(bytes, &version, sizeof version); /* so that an input outlives a change of the protocol */

        if (fsrv__config_decode(bytes, size, &config) < 0)
                return;
        int n = fsrv__config_encode(&config, again);
        if (n >= 0) /* else a program without arguments, or a list that is too long: who sends it is told */
                FSRV_FUZZ_CHECK((size_t)n == size && memcmp(again, bytes, size) == 0);
        fsrv__config_done(&config);
}

static volatile size_t n;

static void check_loaded(char *bytes, size_t size) {
        struct fsrv__loaded loaded;

        if (fsrv__loaded_decode(bytes, size, &loaded) < 0)
                return;
        n = strlen(loaded.failure);
        for (uint32_t i = 0; i < loaded.head.n_threads; i++)
                n += strlen(loaded.threads[i]);
        for (uint32_t i = 0; i < loaded.head.n_fds; i++)
                n += strlen(loaded.fds[i].number) + strlen(loaded.fds[i].kind) + strlen(loaded.fds[i].what);
        fsrv__loaded_done(&loaded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size < 1 || size > FSRV_WIRE_MESSAGE_MAX)
                return 0;
        char *bytes = malloc(size - 1 + (size == 1));
        memcpy(bytes, data + 1, size - 1);
        if (data[0] & 1)
                check_loaded(bytes, size - 1);
        else
                check_config(bytes, size - 1, data[0] & 2);
        free(bytes);
        return 0;
}
