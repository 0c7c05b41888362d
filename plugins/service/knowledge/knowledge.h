/* The plugin "knowledge": documents, how they are searched, and the agent that answers from them. What its files share.
 * Loop thread.
 *
 * provider.kb.local keeps as state
 *     find/<id>/<n>   {lexicon, title, topic, domain, source, head, rows}: lines of trace.h of 16 rows; see
 * shelf_trace.c text/<id>#<n>   the text of a passage doc/<id>        {version, status, hash, origin, file, rows,
 * domain, created_ms}: what is in force from/<origin>/<file>  {id, hash}: which text of which plugin became which
 * document seen/<id>       {day: best relevance}: retrievals of the last 30 days count           {documents, passages,
 * questions, domains: {name: documents}} and writes the tables kb_documents, kb_versions, kb_chunks and kb_retrievals.
 */
#ifndef KNOWLEDGE_H
#define KNOWLEDGE_H

#include "document.h"
#include "embed.h"
#include "rank.h"
#include "trace.h"
#include <cvm/json.h>

#define KB "provider.kb.local"
#define KB_LANE "component:provider.kb.local"
#define EMBED_HASH "provider.embed.hash"
#define EMBED_OPENAI "provider.embed.openai"
#define RESEARCH "service.research"
#define RESEARCH_ALIAS "ResearchAgent"
#define OPERATOR "operator" /* origin of what people added */

#define KB_DOCUMENTS_MAX 10000
#define KB_TOP_K_MAX 50
#define KB_RELEVANT 0.30 /* less is no answer */
#define DAY_MS (24 * 3600 * INT64_C(1000))

/* shelf.c: putting a document, taking it out */
struct kb_document {
    const char *id, *title, *topic, *domain, *source, *language, *keywords, *origin, *file;
    const char *text, *hash;
};
/* Puts a version of a document into force, with its passages; *ret_version. CVM_EBUSY: no room for another document.
 * `hash` NULL: of the text. */
CVM_MUST_USE int shelf_put(cvm_turn *t, const struct kb_document *d, int64_t *ret_version);
/* Takes it out; its versions stay. `status` says why: "removed", "pruned", "withdrawn". CVM_ENOENT: it is not in force.
 */
CVM_MUST_USE int shelf_take(cvm_turn *t, const char *id, const char *status);
void shelf_hash(const char *text, char ret_hash[17]);
void kb_time(int64_t ms, char ret_text[32]); /* 2026-11-21T08:00:00Z */
const struct lexicon *kb_lexicon(cvm_turn *t);
bool kb_uses_model(cvm_turn *t);                   /* vectors of a service are wanted */
int shelf_embedded(cvm_turn *t, const cvm_msg *m); /* "embed.reply": vectors of a service for passages, or a question */

/* shelf_trace.c: what a question is compared with, and the texts of answers */
#define SHELF_KEY_SIZE (DOCUMENT_ID_MAX + 24)
/* The key of what is kept of a document, `kind` being "seen/" or another of five bytes. Gives where it ends. */
char *shelf_key(const char kind[6], const char *id, char ret_key[SHELF_KEY_SIZE]);
/* That of a passage, `at` 0 or more. */
void shelf_text_key(const char *id, int at, char ret_key[SHELF_KEY_SIZE]);
#define TRACE_ROWS 16 /* in one value */
CVM_MUST_USE int shelf_trace(cvm_turn *t, const char *id, const json_t *rows, int64_t rows_before);
/* The value with the row's line. CVM_ENOENT: it was never made, or with other classes of words. */
int shelf_traced(cvm_turn *t, const char *id, int at, const json_t **ret_value);
/* The lines of a row as kb_chunks has it. False: no memory. */
bool shelf_lines(const struct lexicon *lexicon, const json_t *row, char ret_head[TRACE_MAX_BYTES + 1],
                 char ret_body[TRACE_MAX_BYTES + 1]);
CVM_MUST_USE int shelf_trace_anew(cvm_turn *t, const char *id);
int shelf_trace_rows(cvm_turn *t, const cvm_msg *m); /* "query.reply": rows of a document of an earlier version of us */

/* shelf_lines.c: those lines, word by word */
struct lines_row {
    const char *line;       /* NULL: there is no such row */
    struct trace_line read; /* of it */
    bool question;
    int at; /* its place, of a question that of its answer */
};
struct lines_found {
    const json_t *value;
    const char *topic, *head_line;
    struct trace_line head;
    struct lines_row row;
};
void lines_begin(void); /* of an answer: what was given before is no longer borrowed */
/* The row at `at` of a document. Errors of shelf_traced. */
CVM_MUST_USE int lines_row(cvm_turn *t, const char *id, int at, struct lines_found *ret_found);
void lines_drop(void);

/* manage.c: operations of operators */
int manage_add(cvm_turn *t, const cvm_msg *m);
int manage_update(cvm_turn *t, const cvm_msg *m);
int manage_remove(cvm_turn *t, const cvm_msg *m);
int manage_list(cvm_turn *t, const cvm_msg *m);
int manage_show(cvm_turn *t, const cvm_msg *m);
int manage_versions(cvm_turn *t, const cvm_msg *m);
int manage_stats(cvm_turn *t, const cvm_msg *m);
int manage_listed(cvm_turn *t, const cvm_msg *m, const char *what); /* the answer of a table */

/* sync.c: documents of the loaded plugins */
int sync_start(cvm_turn *t, const cvm_msg *m);
int sync_go_on(cvm_turn *t, const cvm_msg *m); /* "sync", "host.registry" */

/* prune.c */
int prune(cvm_turn *t, const cvm_msg *m);
int prune_step(cvm_turn *t, const cvm_msg *m);
int prune_take(cvm_turn *t, const cvm_msg *m);
int prune_monthly(cvm_turn *t, const cvm_msg *m);
int prune_retrieved(cvm_turn *t, const cvm_msg *m); /* "retrieved": notes what was found, and how relevant */
CVM_MUST_USE int prune_arm(cvm_turn *t);

bool prune_is_news(cvm_turn *t, const char *id, double relevance); /* false: it is noted already */

/* query.c */
int query_ask(cvm_turn *t, const cvm_msg *m);
int query_found(cvm_turn *t, const cvm_msg *m); /* "found": has what was retrieved kept */
void query_drop(void);
int query_reply(cvm_turn *t, const cvm_msg *m); /* "query.reply" of every question of this component */
CVM_MUST_USE int query_embedded(cvm_turn *t, const cvm_msg *m);
/* Keeps what a question waits with: as state, in memory where it is a look-up's, which keeps none. Takes `what`. */
CVM_MUST_USE int query_wait(cvm_turn *t, const cvm_msg *m, cvm_id question, json_t *what);
/* Gives it and forgets it. CVM_ENOENT: nothing waits. */
CVM_MUST_USE int query_waited(cvm_turn *t, const cvm_msg *m, json_t **ret_what);

/* question.c: a question as it was read */
struct question {
    const char *text, *match; /* match: the words that the host looks for */
    char *vector;             /* see question_vector */
    size_t n_words;
    struct text_word words[];
};
/* Borrowed until the next call. NULL: no memory, or no lexicon. */
struct question *question_read(const struct lexicon *lexicon, const char *text);
/* The host's own vector, in brief; "": the question has nothing that counts. NULL: no memory. Borrowed as it is. */
const char *question_vector(struct question *question);
void question_drop(void);

/* several.c: questions that were asked together */
#define SEVERAL_MAX 16
/* Answers the request `with` with what was found for each of its questions. */
CVM_MUST_USE int several_answer(cvm_turn *t, const cvm_msg *m, const json_t *with, const json_t *all);

/* embedders.c */
int embed_hash(cvm_turn *t, const cvm_msg *m);
int embed_openai(cvm_turn *t, const cvm_msg *m);
int embed_openai_reply(cvm_turn *t, const cvm_msg *m);

/* research.c */
int research_handle(cvm_turn *t, const cvm_msg *m);
int research_worded(cvm_turn *t, const cvm_msg *m); /* "chat.reply" of a language model */
int research_search(cvm_turn *t, const cvm_msg *m); /* search_knowledge_base */
int research_look(cvm_turn *t, const cvm_msg *m);   /* search, for the command line */
int research_vector_search(cvm_turn *t, const cvm_msg *m);
int research_found(cvm_turn *t, const cvm_msg *m); /* "query.reply" of the knowledge base: see research.c */
int research_add(cvm_turn *t, const cvm_msg *m);
int research_document(cvm_turn *t, const cvm_msg *m);
int research_synthesize(cvm_turn *t, const cvm_msg *m);

#endif
