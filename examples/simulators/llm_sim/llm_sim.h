/* llm_sim: plays an OpenAI-compatible server for tests and demonstrations. A thread for each connection; what they
 * share (the script, the log of requests) is behind one mutex, in script.c. */
#ifndef LLM_SIM_H
#define LLM_SIM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BODY_MAX_BYTES (1024 * 1024)

struct conn {
    int fd;
    uint64_t random; /* of where a stream is cut into pieces */
};

/* ---- llm_sim.c ---- */
bool conn_write(struct conn *c, const char *bytes, size_t len);
/* A whole answer; `extra` are header lines, each ended by \r\n. */
bool conn_answer(struct conn *c, int status, const char *extra, const json_t *body);
bool conn_answer_text(struct conn *c, int status, const char *type, const char *extra, const char *text, size_t len);
uint64_t conn_random(struct conn *c);

/* ---- script.c ---- */

/* What a test prepared for the next requests: {"fault", "retry_after", "content", "data", "tool_calls", "times"}. New
 * value, NULL: nothing. `model` limits a script to requests of that model. */
json_t *script_take(const char *model);
void script_add(json_t *script); /* takes */
void script_clear(void);
void script_log(const char *path, const char *authorization, const json_t *body);
json_t *script_requests(void);

/* ---- chat.c, embed.c: false closes the connection ---- */
bool chat_answer(struct conn *c, const json_t *body, const char *fault_header);
bool embed_answer(struct conn *c, const json_t *body);

/* {"error": {"message", "type", "param", "code"}} */
json_t *error_body(const char *type, const char *code, const char *message);

#endif
