/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_SOURCE_H
#define FORKSERVER_CLI_MAP_SOURCE_H

/* What the loop of forkserver map waits for. The first member of what its events point to. */
enum map_source { MAP_SOURCE_SIGNALS, MAP_SOURCE_INPUT, MAP_SOURCE_JOB, MAP_SOURCE_OUTPUT };

#endif
