/* Rows that the host's search has found, in the order of what they answer. Pure. */
#ifndef KNOWLEDGE_RANK_H
#define KNOWLEDGE_RANK_H

#include "trace.h"

struct rank_row {
    const char *document_id;
    const char *topic;
    const json_t *about;                    /* object with "title", "topic", "domain", "source" */
    const char *head, *body;                /* lines of trace.h: of title and keywords, of the row itself */
    struct trace_line head_read, body_read; /* the same, where they were read already */
    bool question;                          /* that people ask; else a passage */
    int at;                                 /* which text of the document it gives; -1: not known */
    double text_score, cosine;
};

struct rank_source {
    const struct rank_row *rows;
    size_t n;
    /* The text of a passage, or that which answers the question; NULL: there is none. Borrowed. */
    const json_t *(*text)(void *arg, const struct rank_row *row);
    void *arg;
    bool
        brief; /* of a result only {"document_id", "relevance", "at"}, `at` being its first text, where that is known */
};

/* `asked` are the question's words, `words` what the host says of them. Gives {"results": [..], "topics": [..]}, with
 * `brief` no topics; NULL: no memory. */
json_t *rank(const struct text_word *asked, size_t n_asked, const char *hint, const json_t *words,
             const struct rank_source *source, size_t top_k);

#endif
