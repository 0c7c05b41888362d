/* A count the kernel keeps of a TCP connection. A file of its own because <linux/tcp.h>, which knows of it, cannot be
 * read beside <netinet/tcp.h>. Any thread. */
#ifndef HOST_SERVICES_TCP_RECEIVED_H
#define HOST_SERVICES_TCP_RECEIVED_H

#include <stdint.h>

/* Bytes received on the connection since it was opened; 0 where that is not known. */
uint64_t tcp_received(int fd);

#endif
