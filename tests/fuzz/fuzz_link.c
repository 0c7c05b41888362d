/* What a plugin's process writes to its link, as the host puts it together: a byte 0x1e ends a packet and is not sent.
 * The frames are the same however they were cut into packets, and one made anew from its parts is the same frame. */
#include "fuzz.h"

#include "link/frame.h"
#include <cvm/cvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX 64

struct seen {
    struct {
        uint16_t kind;
        uint64_t turn;
        size_t size;
        uint32_t sum;
    } at[FRAMES_MAX];
    size_t n;
    bool broken;
};

static void check_frame(const struct frame *frame)
{
    struct framer again = {0};
    struct frame same;
    FUZZ_CHECK(frame->size <= LINK_BODY_MAX_BYTES);
    if (frame->size > LINK_PACKET_MAX_BYTES - LINK_HEADER_BYTES)
        return;
    char *room = framer_room(&again);
    FUZZ_CHECK(room);
    frame_header(room, frame->kind, frame->turn, (uint32_t)frame->size);
    memcpy(room + LINK_HEADER_BYTES, frame->body, frame->size);
    framer_add(&again, LINK_HEADER_BYTES + frame->size);
    FUZZ_CHECK(framer_next(&again, &same) == 1 && same.kind == frame->kind && same.turn == frame->turn &&
               same.size == frame->size && memcmp(same.body, frame->body, same.size) == 0);
    FUZZ_CHECK(framer_next(&again, &same) == 0);
    framer_free(&again);
    json_error_t error;
    json_decref(json_loadb(frame->body, frame->size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error));
}

static void drain(struct framer *framer, struct seen *seen)
{
    struct frame frame;
    int e;
    while (!seen->broken && (e = framer_next(framer, &frame)) != 0) {
        FUZZ_CHECK(e == 1 || e == CVM_EDATA);
        seen->broken = e < 0;
        if (e < 0)
            return;
        check_frame(&frame);
        uint32_t sum = 0;
        for (size_t i = 0; i < frame.size; i++)
            sum = sum * 31 + (uint8_t)frame.body[i];
        if (seen->n == FRAMES_MAX)
            continue;
        seen->at[seen->n].kind = frame.kind;
        seen->at[seen->n].turn = frame.turn;
        seen->at[seen->n].size = frame.size;
        seen->at[seen->n++].sum = sum;
    }
}

static void add(struct framer *framer, struct seen *seen, const uint8_t *bytes, size_t n)
{
    for (size_t piece; n && !seen->broken; bytes += piece, n -= piece) {
        piece = n < LINK_PACKET_MAX_BYTES ? n : LINK_PACKET_MAX_BYTES;
        char *room = framer_room(framer);
        FUZZ_CHECK(room);
        memcpy(room, bytes, piece);
        framer_add(framer, piece);
        drain(framer, seen);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct seen cut, single;
    struct framer framer = {0}, bytewise = {0};
    struct frame frame;
    memset(&cut, 0, sizeof cut);
    memset(&single, 0, sizeof single);
    FUZZ_CHECK(framer_next(&framer, &frame) == 0);
    for (size_t at = 0, end; at < size; at = end + 1) {
        const uint8_t *stop = memchr(data + at, 0x1e, size - at);
        end = stop ? (size_t)(stop - data) : size;
        add(&framer, &cut, data + at, end - at);
        if (size <= 4096)
            for (size_t i = at; i < end; i++)
                add(&bytewise, &single, data + i, 1);
    }
    FUZZ_CHECK(size > 4096 || memcmp(&cut, &single, sizeof cut) == 0);
    framer_free(&framer);
    framer_free(&bytewise);
    return 0;
}
