/* SPDX-License-Identifier: MIT */
/* Sockets: new ones, and those that were handed over. */
#define _GNU_SOURCE
#include "escapes.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* That the kernel lacks the family is what it says after it was asked. */
static int make(int family, int type, int protocol) {
        int fd = socket(family, type | SOCK_CLOEXEC, protocol), r = let_through(fd);

        if (fd >= 0)
                close(fd);
        return r;
}

#define SOCKET(name, family, type, protocol) \
        static int name(void) { \
                return make(family, type, protocol); \
        }

SOCKET(socket_tcp, AF_INET, SOCK_STREAM, 0)
SOCKET(socket_udp, AF_INET, SOCK_DGRAM, 0)
SOCKET(socket_ping, AF_INET, SOCK_DGRAM, IPPROTO_ICMP)
SOCKET(socket_raw, AF_INET, SOCK_RAW, IPPROTO_RAW)
SOCKET(socket_multipath, AF_INET, SOCK_STREAM, 262)
SOCKET(socket_sctp, AF_INET, SOCK_STREAM, IPPROTO_SCTP)
SOCKET(socket_tcp6, AF_INET6, SOCK_STREAM, 0)
SOCKET(socket_udp6, AF_INET6, SOCK_DGRAM, 0)
SOCKET(socket_unix, AF_UNIX, SOCK_STREAM, 0)
SOCKET(socket_unix_datagram, AF_UNIX, SOCK_DGRAM, 0)
SOCKET(socket_netlink, AF_NETLINK, SOCK_RAW, 0)
SOCKET(socket_packet, AF_PACKET, SOCK_RAW, 0)
SOCKET(socket_vsock, AF_VSOCK, SOCK_STREAM, 0)
SOCKET(socket_crypto, AF_ALG, SOCK_SEQPACKET, 0)
SOCKET(socket_xdp, 44, SOCK_RAW, 0)
SOCKET(socket_key, AF_KEY, SOCK_RAW, 2)
SOCKET(socket_tipc, AF_TIPC, SOCK_DGRAM, 0)
SOCKET(socket_bluetooth, AF_BLUETOOTH, SOCK_RAW, 1)
SOCKET(socket_can, AF_CAN, SOCK_RAW, 1)
/* A family that filters may take for another one, if they compare 64 bits. */
static int socket_high_bits(void) {
        long fd = syscall(SYS_socket, AF_INET | 1L << 32, (long)SOCK_STREAM | 1L << 32, 0L);
        int r = let_through(fd);

        if (fd >= 0)
                close((int)fd);
        return r;
}

static int socket_pair(void) {
        int fds[2], r = from(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));

        if (r == 0) {
                close(fds[0]);
                close(fds[1]);
        }
        return r;
}

static socklen_t abstract_address(struct sockaddr_un *address) {
        const char *name = setting("ESCAPE_ABSTRACT");

        *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
        snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "%s", name ? name : "forkserver-escape");
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address->sun_path + 1));
}

static struct sockaddr_in port_address(void) {
        const char *port = setting("ESCAPE_PORT");

        return (struct sockaddr_in){ .sin_family = AF_INET,
                                     .sin_port = htons((uint16_t)(port ? atoi(port) : 9)),
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int connect_abstract(void) {
        struct sockaddr_un address;
        socklen_t size = abstract_address(&address);
        int fd = fd_of("ESCAPE_UNIX");

        return fd < 0 ? not_here("no socket was handed over") : let_through(connect(fd, (void *)&address, size));
}

static int connect_path(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const char *path = setting("ESCAPE_SOCKET");
        int fd = fd_of("ESCAPE_UNIX");

        if (fd < 0 || !path)
                return not_here("no socket was handed over");
        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        return let_through(connect(fd, (void *)&address, sizeof address));
}

static int bind_abstract(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "\0forkserver-escape-bind" };
        int fd = fd_of("ESCAPE_UNIX");

        return fd < 0 ? not_here("no socket was handed over") : let_through(bind(fd, (void *)&address, 26));
}

static int connect_tcp(void) {
        struct sockaddr_in address = port_address();
        int fd = fd_of("ESCAPE_TCP");

        return fd < 0 ? not_here("no socket was handed over")
                      : let_through(connect(fd, (void *)&address, sizeof address));
}

static int bind_tcp(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = fd_of("ESCAPE_TCP");

        return fd < 0 ? not_here("no socket was handed over") : let_through(bind(fd, (void *)&address, sizeof address));
}

/* Binds it on the way. */
static int listen_tcp(void) {
        int fd = fd_of("ESCAPE_TCP");

        return fd < 0 ? not_here("no socket was handed over") : let_through(listen(fd, 1));
}

/* Connects it on the way. */
static int fast_open(void) {
        struct sockaddr_in address = port_address();
        int fd = fd_of("ESCAPE_TCP");

        if (fd < 0)
                return not_here("no socket was handed over");
        return let_through(sendto(fd, "x", 1, MSG_FASTOPEN | MSG_DONTWAIT, (void *)&address, sizeof address));
}

static int send_to_udp(void) {
        struct sockaddr_in address = port_address();
        int fd = fd_of("ESCAPE_UDP");

        if (fd < 0)
                return not_here("no socket was handed over");
        return let_through(sendto(fd, "x", 1, MSG_DONTWAIT, (void *)&address, sizeof address));
}

/* Half of such a pointer is 0. A filter that compares the other half alone takes it for no address. */
static int send_to_udp_round(void) {
        struct sockaddr_in *address = NULL;
        int fd = fd_of("ESCAPE_UDP"), r;

        if (fd < 0)
                return not_here("no socket was handed over");
        for (uintptr_t at = 1ULL << 32; !address && at < 64ULL << 32; at += 1ULL << 32) {
                void *got = mmap((void *)at, 4096, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
                address = got == MAP_FAILED ? NULL : got;
        }
        if (!address)
                return not_here("there is no room at such an address");
        *address = port_address();
        r = from(sendto(fd, "x", 1, MSG_DONTWAIT, (void *)address, sizeof *address));
        munmap(address, 4096);
        return r;
}

/* No filter sees where these go, as the address is in memory. */
static int send_message_to_udp(void) {
        struct sockaddr_in address = port_address();
        struct iovec text = { (void *)"x", 1 };
        struct msghdr message = {
                .msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &text, .msg_iovlen = 1
        };
        int fd = fd_of("ESCAPE_UDP");

        return fd < 0 ? not_here("no socket was handed over") : from(sendmsg(fd, &message, MSG_DONTWAIT));
}

static int connect_udp(void) {
        struct sockaddr_in address = port_address();
        int fd = fd_of("ESCAPE_UDP");

        return fd < 0 ? not_here("no socket was handed over")
                      : let_through(connect(fd, (void *)&address, sizeof address));
}

/* io_uring's own socket and openat are done by the kernel, and no filter sees them. */
static int ring_setup(void) {
        char parameters[120] = { 0 };
        long fd = syscall(SYS_io_uring_setup, 2L, parameters);

        if (fd >= 0)
                close((int)fd);
        return let_through(fd);
}

static int ring_enter(void) {
        return let_through(syscall(SYS_io_uring_enter, -1L, 1L, 0L, 0L, NULL, 0L));
}

static int ring_register(void) {
        return let_through(syscall(SYS_io_uring_register, -1L, 0L, NULL, 0L));
}

const struct attempt network_attempts[] = {
        { "socket_tcp", socket_tcp },
        { "socket_udp", socket_udp },
        { "socket_ping", socket_ping },
        { "socket_raw", socket_raw },
        { "socket_multipath", socket_multipath },
        { "socket_sctp", socket_sctp },
        { "socket_tcp6", socket_tcp6 },
        { "socket_udp6", socket_udp6 },
        { "socket_unix", socket_unix },
        { "socket_unix_datagram", socket_unix_datagram },
        { "socket_netlink", socket_netlink },
        { "socket_packet", socket_packet },
        { "socket_vsock", socket_vsock },
        { "socket_crypto", socket_crypto },
        { "socket_xdp", socket_xdp },
        { "socket_key", socket_key },
        { "socket_tipc", socket_tipc },
        { "socket_bluetooth", socket_bluetooth },
        { "socket_can", socket_can },
        { "socket_high_bits", socket_high_bits },
        { "socket_pair", socket_pair },
        { "connect_abstract", connect_abstract },
        { "connect_path", connect_path },
        { "bind_abstract", bind_abstract },
        { "connect_tcp", connect_tcp },
        { "bind_tcp", bind_tcp },
        { "listen_tcp", listen_tcp },
        { "fast_open", fast_open },
        { "send_to_udp", send_to_udp },
        { "send_to_udp_round", send_to_udp_round },
        { "send_message_to_udp", send_message_to_udp },
        { "connect_udp", connect_udp },
        { "ring_setup", ring_setup },
        { "ring_enter", ring_enter },
        { "ring_register", ring_register },
        { NULL, NULL },
};
