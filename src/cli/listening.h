/* SPDX-License-Identifier: MIT */
#ifndef FSRV_CLI_LISTENING_H
#define FSRV_CLI_LISTENING_H

/* The sockets of `serve` that the server gets ready-made. */

#include "cli.h"

/* activation.c: takes the socket that systemd hands over (sd_listen_fds(3)), if there is one: with the path of the
 * options it has to be that one. 0, or negative with a complaint. */
int cli_activation_take(struct fsrv_listen_options *listen);
/* metrics_socket.c: makes a stream socket, which the server has listen: at a path, with our pid behind it, or at a port
 * of the loopback device. takes_over: another server may listen there still. The fd, or negative with a complaint. */
int cli_metrics_bind(const char *where, bool takes_over);
/* There will be no server. */
void cli_metrics_drop(int fd);

#endif
