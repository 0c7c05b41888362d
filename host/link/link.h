/* The host's end of a link: starts a plugin's process, carries frames to and from it, ends it. Knows sockets and
 * processes; knows nothing of turns. Not bound to a thread, used by one at a time. */
#ifndef HOST_LINK_LINK_H
#define HOST_LINK_LINK_H

#include "link/frame.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct link;

struct link_spec {
    const char *runner;  /* the host's binary; NULL: the one that runs */
    const char *plugin;  /* its name, for messages */
    const char *library; /* absolute path of a shared object the runner loads; NULL: `program` */
    const char *program; /* absolute path of an executable that speaks the link itself */
    int64_t memory_mib;  /* 0: no limit */
};

/* Starts the process; it has not said that it is ready. CVM_EIO with a sentence. */
int link_spawn(const struct link_spec *spec, struct link **ret_link, char *ret_error, size_t error_size);

/* Adds a frame to what is sent; CVM_ENOMEM, CVM_ELIMIT. Nothing leaves before link_flush. */
int link_send(struct link *link, enum frame_kind kind, uint64_t turn, const char *body, size_t size);
/* Sends what the socket takes: 0 all, 1 something is left, CVM_EIO the process is gone. */
int link_flush(struct link *link);

/* 1: a frame, valid until the next call; 0: none is there yet; CVM_EIO: the process is gone; CVM_EDATA: it sends what
 * is no frame; CVM_ENOMEM. Never waits. */
int link_receive(struct link *link, struct frame *ret_frame);
/* Sends what is left and waits until something can be received; CVM_ETIMEOUT after `ms`. */
int link_wait(struct link *link, int ms);

int link_fd(const struct link *link);
int link_errors_fd(const struct link *link); /* what the process writes to its standard error; not blocking */
pid_t link_pid(const struct link *link);
void link_kill(struct link *link, int signal);
int64_t link_cpu_ns(const struct link *link); /* processor time it has used */
bool link_waits(const struct link *link);     /* it does not want the processor now: asleep, or stopped */
/* How the process ended, as a sentence: "killed by signal 11 (Segmentation fault)"; waits at most `ms` for its end.
 * False: it has not ended. */
bool link_ending(struct link *link, int ms, char *ret_text, size_t size);
void link_close(struct link *link); /* kills; accepts NULL */

#endif
