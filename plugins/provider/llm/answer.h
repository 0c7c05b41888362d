/* What a model's server answered, read: a whole chat completion, or the pieces of a streamed one put together. Pure;
 * any thread. */
#ifndef PROVIDER_LLM_ANSWER_H
#define PROVIDER_LLM_ANSWER_H

#include "../common/sse.h"

#include <cvm/json.h>

#define ANSWER_CALLS_MAX 32
#define ANSWER_CONTENT_MAX_BYTES (256 * 1024)

struct answer_call {
    char *id, *name, *arguments;
    size_t len, size; /* of the arguments */
};

struct llm_answer {
    char *content; /* NULL: none */
    size_t content_len, content_size;
    char *refusal;
    struct answer_call calls[ANSWER_CALLS_MAX];
    size_t n_calls;
    char model[64], finish[24];
    int64_t input_tokens, output_tokens, cached_tokens;
    bool has_usage;
    char code[64]; /* of an error that came within the stream */
};

void llm_answer_fini(struct llm_answer *answer);
/* A "chat.completion". Fills a zeroed struct; 0, or CVM_EDATA: it is none. The caller runs llm_answer_fini. */
int llm_answer_read(const json_t *body, struct llm_answer *answer);

/* A streamed answer as it comes: "chat.completion.chunk" events, ended by [DONE]. */
struct llm_stream {
    struct sse sse;
    struct llm_answer *answer;
    bool done;
};

void llm_stream_init(struct llm_stream *stream, struct llm_answer *answer);
int llm_stream_feed(struct llm_stream *stream, const char *bytes, size_t len);
/* Whether all of it has come: half a stream is no answer. 0 or CVM_EDATA. Frees what the reading took. */
int llm_stream_end(struct llm_stream *stream);

/* The calls as the caller gets them: [{"id", "name", "arguments": object}], NULL: one has arguments that are no JSON
 * object. New value. */
json_t *llm_answer_calls(const struct llm_answer *answer);

#endif
