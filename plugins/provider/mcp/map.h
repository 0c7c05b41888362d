/* Between a question to a knowledge base and a tool of another's server: the tool's arguments out of a template,
 * whether the tool takes them, and results out of what it answers. Pure; loop thread. */
#ifndef PROVIDER_MCP_MAP_H
#define PROVIDER_MCP_MAP_H

#include <cvm/cvm.h>
#include <cvm/json.h>

#define MAP_RESULTS_MAX 50
#define MAP_TEXT_MAX_BYTES 8192
#define MAP_TEXTS_MAX_BYTES (160 * 1024) /* of all results; each text stands there twice */
#define MAP_ARGUMENT_MAX_BYTES 8192
#define MAP_FAULT_SIZE 512

/* The template that the settings have; the question alone, as "query", where `arguments` is empty. A new reference. */
json_t *map_template(const json_t *settings);

/* Arguments for `question` (a request `query`): texts of `template` with {query}, {issue_description} and {system_info}
 * put in; other values as they are. A new object. */
json_t *map_arguments(const json_t *template, const json_t *question);

/* Whether a tool whose `inputSchema` this is takes arguments of `template`'s names and types. Writes what does not fit.
 */
bool map_fits(const json_t *schema, const json_t *template, char ret_fault[MAP_FAULT_SIZE]);

/* What a tool answered, as {"results": [{document_id, position, source, relevance, coverage, text, passages}],
 * "topics":
 * []}; `settings` are the component's (result, fields, relevance). NULL, and in words why: what `result` names is not
 * there. */
json_t *map_results(const json_t *settings, const json_t *result, size_t top_k, char ret_fault[MAP_FAULT_SIZE]);

/* The text of a tool's answer, shortened: what it says of its failure. */
void map_text(const json_t *result, char *ret_text, size_t size);

#endif
