/* Frames; see frame.h. */
#include "link/frame.h"

#include <cvm/cvm.h>
#include <stdlib.h>
#include <string.h>

static uint64_t little(const char *at, int n)
{
    uint64_t value = 0;
    for (int i = n; i-- > 0;)
        value = value << 8 | (uint8_t)at[i];
    return value;
}

static void put_little(char *at, uint64_t value, int n)
{
    for (int i = 0; i < n; i++)
        at[i] = (char)(value >> (8 * i));
}

void frame_header(char header[LINK_HEADER_BYTES], uint16_t kind, uint64_t turn, uint32_t size)
{
    put_little(header, size, 4);
    put_little(header + 4, kind, 2);
    put_little(header + 6, 0, 2);
    put_little(header + 8, turn, 8);
}

char *framer_room(struct framer *f)
{
    if (f->begin == f->end)
        f->begin = f->end = 0;
    if (f->cap - f->end < LINK_PACKET_MAX_BYTES && f->begin) {
        memmove(f->bytes, f->bytes + f->begin, f->end - f->begin);
        f->end -= f->begin;
        f->begin = 0;
    }
    if (f->cap - f->end < LINK_PACKET_MAX_BYTES) {
        size_t cap = f->cap ? 2 * f->cap : 2 * LINK_PACKET_MAX_BYTES;
        char *bytes = realloc(f->bytes, cap);
        if (!bytes)
            return NULL;
        f->bytes = bytes;
        f->cap = cap;
    }
    return f->bytes + f->end;
}

void framer_add(struct framer *f, size_t n)
{
    f->end += n;
}

int framer_next(struct framer *f, struct frame *ret_frame)
{
    size_t have = f->end - f->begin;
    if (have < LINK_HEADER_BYTES)
        return 0;
    const char *at = f->bytes + f->begin;
    size_t size = little(at, 4);
    if (size > LINK_BODY_MAX_BYTES || little(at + 6, 2) != 0)
        return CVM_EDATA;
    if (have - LINK_HEADER_BYTES < size)
        return 0;
    *ret_frame = (struct frame){
        .kind = (uint16_t)little(at + 4, 2), .turn = little(at + 8, 8), .body = at + LINK_HEADER_BYTES, .size = size};
    f->begin += LINK_HEADER_BYTES + size;
    return 1;
}

void framer_free(struct framer *f)
{
    free(f->bytes);
    *f = (struct framer){0};
}

int frame_queue_add(struct frame_queue *q, const struct frame *f)
{
    struct frame_held *held = malloc(sizeof *held + f->size + 1);
    if (!held)
        return CVM_ENOMEM;
    memcpy(held->body, f->body, f->size);
    held->next = NULL;
    held->frame = *f;
    held->frame.body = held->body;
    if (q->head)
        q->tail->next = held;
    else
        q->head = held;
    q->tail = held;
    q->bytes += sizeof *held + f->size;
    return 0;
}

struct frame_held *frame_queue_take(struct frame_queue *q)
{
    struct frame_held *held = q->head;
    if (held) {
        q->head = held->next;
        q->bytes -= sizeof *held + held->frame.size;
    }
    return held;
}

void frame_queue_clear(struct frame_queue *q)
{
    for (struct frame_held *held; (held = frame_queue_take(q));)
        free(held);
}
