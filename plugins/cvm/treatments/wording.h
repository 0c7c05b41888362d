/* A treatment described in words: "Send a gift basket with limit 10 and priority 1". Fixed rules, no model. What the
 * text mentions becomes members of a record; what it does not mention is not set. Pure; any thread. */
#ifndef CVM_TREATMENTS_WORDING_H
#define CVM_TREATMENTS_WORDING_H

#include <cvm/cvm.h>
#include <cvm/json.h>

#define WORDING_NAME_MAX 60   /* characters of a name that is read from a text */
#define WORDING_TEXT_MAX 4000 /* bytes of a text */
#define WORDING_PER_DAY_MAX INT64_C(1000000000)

struct wording_error {
    char field[48]; /* "constraints.priority" */
    char text[160]; /* a sentence */
};

/* Gives {"display_name"?, "description", "enabled"?, "channel"?, "constraints"?: {..}}. `display_name` is missing only
 * where the text has no letter or digit. CVM_EINVAL: a value is out of its range, said in ret_error; CVM_ENOMEM. */
CVM_MUST_USE int wording_read(const char *text, json_t **ret_members, struct wording_error *ret_error);

/* Takes away the beginning of a symbol that a cut has left at the end of UTF-8 text. */
void wording_whole(char *text);

/* "send_personalized_vide": the middle of an id made of a name; at least "treatment". */
#define WORDING_SLUG_SIZE 41
void wording_slug(const char *name, char slug[WORDING_SLUG_SIZE]);

#endif
