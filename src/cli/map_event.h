/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_EVENT_H
#define FORKSERVER_CLI_MAP_EVENT_H

/* What the loop of forkserver map waits for. The first member of what its events point to. */
enum map_event { MAP_EVENT_SIGNALS, MAP_EVENT_INPUT, MAP_EVENT_JOB, MAP_EVENT_OUTPUT };

#endif
