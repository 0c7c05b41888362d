/* From what people type to an operation's request: option names, types by the request's schema, lines of a batch. Works
 * on the catalogue's description of the operation. Pure. */
#ifndef HOST_CLI_SPEC_H
#define HOST_CLI_SPEC_H

#include "cli/cli.h"

#define SPEC_NAME_MAX 128

struct spec_error {
    char field[SPEC_NAME_MAX]; /* the request's property; "" where none */
    char text[320];            /* a sentence */
};

/* Follows "$ref" in the plugin's document. Borrowed. */
const json_t *spec_resolve(const json_t *catalogue, const json_t *entry, const json_t *schema);
/* The request's properties (an object); NULL: the operation takes any. */
const json_t *spec_properties(const json_t *catalogue, const json_t *entry);
/* The resolved schema of a property; NULL: none is declared. */
const json_t *spec_property(const json_t *catalogue, const json_t *entry, const char *property);
bool spec_takes_any(const json_t *catalogue, const json_t *entry); /* also properties that it does not declare */

/* The property that an option ("recipient-phone", "phone" by expose.rename) or a batch member stands for; NULL: none.
 * Borrowed from the catalogue. */
const char *spec_find(const json_t *catalogue, const json_t *entry, const char *name);
/* The other way: how a property is written as an option or argument, with "-" or "_" as `dash`. */
void spec_name(const json_t *entry, const char *property, char dash, char ret_name[SPEC_NAME_MAX]);

/* Types as a sentence says them ("integer", "number or string", "a|b|c" for an enumeration). */
void spec_type_name(const json_t *schema, char *ret_text, size_t size);
bool spec_is_flag(const json_t *schema);  /* boolean and nothing else */
bool spec_is_array(const json_t *schema); /* array, not string */

/* A typed value from its text. CVM_EINVAL: the sentence says what was expected. */
int spec_value(const json_t *schema, const char *text, json_t **ret_value, char *ret_error, size_t error_size);

/* The request from a command line: words are expose.args, options the other properties. Options that every command
 * takes go into `cli`. In a batch (cli->file) nothing is required. Gives a new object. */
int spec_request(struct cli *cli, const json_t *catalogue, const json_t *entry, json_t **ret_request,
                 struct spec_error *ret_error);

/* The request from a line of a batch. `defaults` are what the command line gave. "id" goes to *ret_id (new; NULL where
 * the line has none) and into the request only where the operation has such a property. */
int spec_line(const json_t *catalogue, const json_t *entry, const json_t *defaults, const char *line, size_t len,
              json_t **ret_request, json_t **ret_id, struct spec_error *ret_error);

/* How far two words are apart (insertions, deletions, replacements, swaps), up to 64 letters. */
size_t spec_distance(const char *a, const char *b);

#endif
