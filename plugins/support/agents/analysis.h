/* What documents say of a ticket, put together by rules: the cause, the steps, how sure it is. Pure; any thread. */
#ifndef ANALYSIS_H
#define ANALYSIS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define RELEVANT 0.30 /* less is no answer, as the knowledge base says */
#define ASPECTS_MAX 8
#define STEPS_MAX 10

#define SYMPTOM "symptom" /* the aspect that is the description itself */

/* The aspects a ticket is asked about, of the setting [{"aspect", "terms", "words", "always"}]: those that always are,
 * the symptom, those of whose words the text has one, and as many of the others as make `least`. Each question has the
 * aspect's terms and the words of the text that say something. Gives [{"aspect", "query"}]. */
json_t *analysis_aspects(const json_t *setting, const json_t *vocabulary, const char *text, size_t least);

/* Of answers [{"name": aspect, "data": {"results": [{"document_id", "title", "source", "relevance", "text"}]}}]: the
 * documents that fit the ticket's text, the best first, each once: [{.., "relevance", "fit", "aspects": [..]}]. A
 * document fits if the knowledge base finds it for the symptom alone, or if it has at least two of the text's words
 * of the trade; that an aspect's own terms led to it is not enough. */
json_t *analysis_documents(const json_t *parts, const json_t *vocabulary, const char *text);

/* {"found", "root_cause", "analysis", "resolution_steps", "confidence"} of the documents. `notes`: of the support team,
 * for another analysis; "". Gives. */
json_t *analysis_by_rules(const json_t *documents, const json_t *parts, const char *notes);

#endif
