/* The frames of the link between the host and a plugin's own process: what docs/reference/link.md describes. Packets of
 * a SOCK_SEQPACKET socket, put together, are a stream of frames; a frame is a header of 16 bytes and a JSON object.
 * Pure: knows no socket and no host. */
#ifndef HOST_LINK_FRAME_H
#define HOST_LINK_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define LINK_VERSION 1
#define LINK_FD 3                             /* where a plugin's process finds its end */
#define LINK_HEADER_BYTES 16                  /* size u32, kind u16, zero u16, turn u64; little-endian */
#define LINK_BODY_MAX_BYTES (8 * 1024 * 1024) /* of one frame */
#define LINK_PACKET_MAX_BYTES (64 * 1024)     /* of one packet: larger frames go on in the next */

enum frame_kind {
    /* host to plugin */
    FRAME_HELLO = 1,
    FRAME_TURN = 2,
    FRAME_ANSWER = 3,
    FRAME_CONVERT = 4,
    FRAME_STOP = 5,
    /* plugin to host */
    FRAME_READY = 16,
    FRAME_FAILED = 17,
    FRAME_ASK = 18,
    FRAME_TELL = 19,
    FRAME_DONE = 20,
    FRAME_CONVERTED = 21
};

struct frame {
    uint16_t kind;
    uint64_t turn;
    const char *body; /* borrowed until the framer is used again */
    size_t size;
};

/* Puts packets together. All zero is an empty one; framer_free lets go. */
struct framer {
    char *bytes;
    size_t begin, end, cap;
};

/* Room for a packet of LINK_PACKET_MAX_BYTES; NULL: no memory. The caller writes there and says how much by
 * framer_add. */
char *framer_room(struct framer *framer);
void framer_add(struct framer *framer, size_t n);
/* 1: *ret_frame is the next frame; 0: more bytes are needed; CVM_EDATA: no frame begins like this. */
int framer_next(struct framer *framer, struct frame *ret_frame);
void framer_free(struct framer *framer);

/* Frames that came while another one was waited for, first in, first out. All zero is an empty queue. */
struct frame_held {
    struct frame_held *next;
    struct frame frame; /* its body is `body` */
    char body[];
};

struct frame_queue {
    struct frame_held *head, *tail;
    size_t bytes;
};

int frame_queue_add(struct frame_queue *queue, const struct frame *frame); /* copies; CVM_ENOMEM */
struct frame_held *frame_queue_take(struct frame_queue *queue);            /* for free(); NULL: there is none */
void frame_queue_clear(struct frame_queue *queue);

void frame_header(char ret_header[LINK_HEADER_BYTES], uint16_t kind, uint64_t turn, uint32_t size);

#endif
