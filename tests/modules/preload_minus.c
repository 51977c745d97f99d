/* SPDX-License-Identifier: MIT */

int forkserver_preload(void) {
        return -1;
}
